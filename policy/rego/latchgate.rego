# The policy that is in force where [policy] names no folder.
#
# preset in [policy.data] says what each risk level may do, from the narrowest:
#
#             low    medium  high   critical
#   strict    runs   asks    asks   denied
#   standard  runs   runs    asks   asks      (without a preset)
#   open      runs   runs    runs   runs
#
# "asks" is: a person has to approve. Four lists change that for what they name;
# * in the first three stands for any text:
#
#   allow         action ids that run without approval, whatever their risk
#   deny          action ids that never run; wins over everything
#   deny_secrets  secrets that no action gets
#   deny_hosts    hosts that no action reaches: exact or *.suffix, on every port
package latchgate

presets := {
	"strict": {"low": "run", "medium": "ask", "high": "ask", "critical": "deny"},
	"standard": {"low": "run", "medium": "run", "high": "ask", "critical": "ask"},
	"open": {"low": "run", "medium": "run", "high": "run", "critical": "run"},
}

default chosen := "standard"

chosen := data.latchgate.preset

verdict := presets[chosen][input.risk_level]

default action := {"allow": false, "reason": "no rule of the built-in policy allows this"}

action := {
	"allow": false,
	"reason": sprintf("%s is on the deny list", [input.action]),
} if {
	listed(data.latchgate.deny, input.action)
} else := {
	"allow": false,
	"reason": sprintf("there is no preset %v: policy.data.preset is strict, standard or open", [chosen]),
} if {
	not presets[chosen]
} else := {
	"allow": true,
	"reason": sprintf("%s is on the allow list", [input.action]),
	"approved_secrets": approved_secrets,
	"approved_hosts": approved_hosts,
} if {
	listed(data.latchgate.allow, input.action)
} else := {
	"allow": true,
	"reason": sprintf("%s risk is allowed", [input.risk_level]),
	"approved_secrets": approved_secrets,
	"approved_hosts": approved_hosts,
} if {
	verdict == "run"
} else := {
	"allow": true,
	"require_approval": true,
	"reason": sprintf("%s risk needs approval", [input.risk_level]),
	"approved_secrets": approved_secrets,
	"approved_hosts": approved_hosts,
} if {
	verdict == "ask"
} else := {
	"allow": false,
	"reason": sprintf("%s risk is denied by the preset %s", [input.risk_level, chosen]),
} if {
	verdict == "deny"
}

approved_secrets := [name |
	some name in input.secrets
	not secret_denied(name)
]

approved_hosts := [pattern |
	some pattern in input.hosts
	not host_denied(pattern)
]

# A rule of its own: `not listed(data.latchgate.deny_secrets, name)` is undefined
# rather than true where there is no such list.
secret_denied(name) if listed(data.latchgate.deny_secrets, name)

listed(patterns, name) if {
	some pattern in patterns
	glob.match(pattern, null, name)
}

# A declared pattern goes as a whole where any host below it is denied: what is
# left of *.example.com without one of its names cannot be said.
host_denied(pattern) if {
	some denied in data.latchgate.deny_hosts
	overlap(without_port(pattern), denied)
}

overlap(a, a)

overlap(a, b) if covers(a, b)

overlap(a, b) if covers(b, a)

covers(wildcard, host) if {
	startswith(wildcard, "*.")
	endswith(host, trim_prefix(wildcard, "*"))
}

# "[2001:db8::1]:8443" is the address 2001:db8::1
without_port(pattern) := trim(regex.replace(pattern, `:[0-9]+$`, ""), "[]")

# matches are the entries of [policy.data] that fit something of the input, for
# `latchgate policy eval`. Nothing is decided by them.
matches contains {"key": "preset", "entry": data.latchgate.preset, "name": input.risk_level}

matches contains {"key": "deny", "entry": pattern, "name": input.action} if {
	some pattern in data.latchgate.deny
	listed([pattern], input.action)
}

matches contains {"key": "allow", "entry": pattern, "name": input.action} if {
	some pattern in data.latchgate.allow
	listed([pattern], input.action)
}

matches contains {"key": "deny_secrets", "entry": pattern, "name": name} if {
	some pattern in data.latchgate.deny_secrets
	some name in input.secrets
	listed([pattern], name)
}

matches contains {"key": "deny_hosts", "entry": denied, "name": pattern} if {
	some denied in data.latchgate.deny_hosts
	some pattern in input.hosts
	overlap(without_port(pattern), denied)
}
