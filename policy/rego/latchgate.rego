# The policy that is in force where [policy] names no folder.
#
# It lets low and medium risk run and asks a person for high and critical. Four
# lists in [policy.data] change that; * in the first three stands for any text:
#
#   allow         action ids that run without approval, whatever their risk
#   deny          action ids that never run; wins over everything
#   deny_secrets  secrets that no action gets
#   deny_hosts    hosts that no action reaches: exact or *.suffix, on every port
package latchgate

default action := {"allow": false, "reason": "no rule of the built-in policy allows this"}

action := {
	"allow": false,
	"reason": sprintf("%s is on the deny list", [input.action]),
} if {
	listed(data.latchgate.deny, input.action)
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
	input.risk_level in {"low", "medium"}
} else := {
	"allow": true,
	"require_approval": true,
	"reason": sprintf("%s risk needs approval", [input.risk_level]),
	"approved_secrets": approved_secrets,
	"approved_hosts": approved_hosts,
} if {
	input.risk_level in {"high", "critical"}
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
