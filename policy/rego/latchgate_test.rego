package latchgate_test

import data.latchgate

any_risk := {
	"principal": "tester",
	"door": "exec",
	"actions": ["github_create_issue"],
	"action": "github_create_issue",
	"secrets": ["GITHUB_TOKEN", "GITHUB_APP.key"],
	"hosts": ["api.github.com", "*.uploads.github.com", "ghe.example.com:8443", "[2001:db8::1]:8443"],
}

at(risk) := object.union(any_risk, {"risk_level": risk})

test_low_and_medium_risk_run if {
	every risk in ["low", "medium"] {
		d := latchgate.action with input as at(risk)
		d.allow
		not d.require_approval
	}
}

test_high_and_critical_risk_need_approval if {
	every risk in ["high", "critical"] {
		d := latchgate.action with input as at(risk)
		d.allow
		d.require_approval
	}
}

# What each preset does at each risk, spelled out once more: the table in the
# policy's head and in docs/policy.md is this one.
test_presets_do_what_their_table_says if {
	table := {
		"strict": ["run", "ask", "ask", "deny"],
		"standard": ["run", "run", "ask", "ask"],
		"open": ["run", "run", "run", "run"],
	}
	every preset, row in table {
		every i, risk in ["low", "medium", "high", "critical"] {
			d := latchgate.action with input as at(risk) with data.latchgate.preset as preset
			verdict(d) == row[i]
		}
	}
}

verdict(d) := "ask" if d.require_approval

verdict(d) := "run" if {
	d.allow
	not d.require_approval
}

verdict(d) := "deny" if not d.allow

test_without_a_preset_it_is_standard if {
	every risk in ["low", "medium", "high", "critical"] {
		d := latchgate.action with input as at(risk)
		e := latchgate.action with input as at(risk) with data.latchgate.preset as "standard"
		d == e
	}
}

test_unknown_preset_denies_and_says_so if {
	every preset in ["Strict", "", "paranoid", 3, null] {
		d := latchgate.action with input as at("low") with data.latchgate.preset as preset
			with data.latchgate.allow as ["*"]
		not d.allow
		contains(d.reason, "policy.data.preset is strict, standard or open")
	}
}

test_unknown_risk_is_denied_by_every_preset if {
	every preset in ["strict", "standard", "open"] {
		d := latchgate.action with input as at("harmless") with data.latchgate.preset as preset
		not d.allow
	}
}

test_lists_win_over_every_preset if {
	every preset in ["strict", "standard", "open"] {
		d := latchgate.action with input as at("critical") with data.latchgate.preset as preset
			with data.latchgate.allow as ["github_*"]
		verdict(d) == "run"
		e := latchgate.action with input as at("low") with data.latchgate.preset as preset
			with data.latchgate.deny as ["github_*"]
		verdict(e) == "deny"
	}
}

test_entries_that_had_a_say_are_named if {
	m := latchgate.matches with input as at("low") with data.latchgate.allow as ["slack_*", "github_*"]
		with data.latchgate.deny_secrets as ["*.key"] with data.latchgate.deny_hosts as ["*.github.com"]
		with data.latchgate.preset as "open"
	m == {
		{"key": "allow", "entry": "github_*", "name": "github_create_issue"},
		{"key": "deny_secrets", "entry": "*.key", "name": "GITHUB_APP.key"},
		{"key": "deny_hosts", "entry": "*.github.com", "name": "api.github.com"},
		{"key": "deny_hosts", "entry": "*.github.com", "name": "*.uploads.github.com"},
		{"key": "preset", "entry": "open", "name": "low"},
	}
}

test_everything_else_is_denied if {
	every risk in ["", "LOW", "none", null, 3] {
		d := latchgate.action with input as at(risk)
		not d.allow
	}
}

test_missing_risk_is_denied if {
	d := latchgate.action with input as any_risk
	not d.allow
}

test_empty_input_is_denied if {
	d := latchgate.action with input as {}
	not d.allow
}

test_allow_list_overrides_risk if {
	every pattern in ["github_create_issue", "github_*", "*"] {
		d := latchgate.action with input as at("critical") with data.latchgate.allow as [pattern]
		d.allow
		not d.require_approval
	}
}

test_allow_list_is_not_a_prefix if {
	every pattern in ["github", "github_create", "github_create_issue_", "*_pr"] {
		d := latchgate.action with input as at("critical") with data.latchgate.allow as [pattern]
		d.require_approval
	}
}

test_deny_list_wins_over_risk_and_allow_list if {
	every pattern in ["github_create_issue", "*_issue", "*"] {
		d := latchgate.action with input as at("low") with data.latchgate.deny as [pattern]
			with data.latchgate.allow as ["*"]
		not d.allow
	}
}

test_deny_list_denies_nothing_else if {
	d := latchgate.action with input as at("low") with data.latchgate.deny as ["gitlab_*"]
	d.allow
}

test_all_declared_is_approved if {
	every risk in ["low", "high"] {
		d := latchgate.action with input as at(risk)
		d.approved_secrets == any_risk.secrets
		d.approved_hosts == any_risk.hosts
	}
}

test_denied_secrets_are_taken_away if {
	every risk in ["low", "high"] {
		d := latchgate.action with input as at(risk) with data.latchgate.deny_secrets as ["*.key"]
		d.approved_secrets == ["GITHUB_TOKEN"]
	}
	d := latchgate.action with input as at("high") with data.latchgate.allow as ["*"]
		with data.latchgate.deny_secrets as ["GITHUB_TOKEN"]
	d.approved_secrets == ["GITHUB_APP.key"]
}

# What is taken away from the declared hosts by one entry of deny_hosts.
taken_away(denied) := {h | some h in any_risk.hosts} - {h | some h in d.approved_hosts} if {
	d := latchgate.action with input as at("low") with data.latchgate.deny_hosts as [denied]
}

test_denied_hosts_are_taken_away if {
	taken_away("api.github.com") == {"api.github.com"}
	taken_away("ghe.example.com") == {"ghe.example.com:8443"}
	taken_away("2001:db8::1") == {"[2001:db8::1]:8443"}
	taken_away("*.github.com") == {"api.github.com", "*.uploads.github.com"}
	taken_away("*.uploads.github.com") == {"*.uploads.github.com"}
	taken_away("eu.uploads.github.com") == {"*.uploads.github.com"}
	taken_away("*.eu.uploads.github.com") == {"*.uploads.github.com"}
}

test_hosts_that_only_look_alike_stay if {
	every denied in ["github.com", "hub.com", "xapi.github.com", "*.api.github.com", "uploads.github.com", "apiXgithub.com"] {
		taken_away(denied) == set()
	}
}
