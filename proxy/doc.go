// Package proxy is the wire and its two doors.
//
// A request comes in through one of two doors: [Server], where an agent that
// has HTTP_PROXY set knocks, and [Wire.Do], which a provider's http_request
// calls in the same process. Behind the doors the code is the same, and so is
// the order in which things happen to a request:
//
//	who        identify.go   which run is this, and is it still open?
//	where      tunnel.go     one canonical target; the tunnel's authority is the truth
//	may it     route.go      host, port, method, path; then the request policy
//	strip      strip.go      hop-by-hop fields, and every field a binding owns
//	replace    placeholder.go a placeholder gives way to its secret, or trips
//	stamp      stamp.go      put the secrets on, https only
//	send       send.go       dial guard, pools, TLS, HTTP/1.1 and HTTP/2 (upstream.go)
//	scrub      answer.go     take the secrets out of what comes back
//	record     record.go     one audit event, the metrics
//
// [Wire.Do] in wire.go is that list as code; read it first. Runs are opened
// and closed by package gate through [Runs]; nothing here decides whether a
// run may exist.
//
// Do not forward a request past the Wire: a request that did not go through
// every step above has not been checked.
package proxy
