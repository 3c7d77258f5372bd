package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy/target"
)

// Admission is what steps 2 and 3 of the wire say to a request that nobody
// sends.
type Admission struct {
	Input policy.RequestInput // what the request policy is asked
	// Secrets are the approved secrets with a binding that covers the request.
	Secrets []string
	// Blind: the host is reached by a tunnel that is not looked into, and the
	// policy is asked once for all of it, with method CONNECT and no path.
	Blind bool
}

// Admit says what the wire would make of a request by a run of that
// configuration, before the request policy is asked: the same canonical form,
// the same match. The run is never opened and has no id.
func Admit(c RunConfig, method string, u *url.URL) (*Admission, *Denial) {
	t, path, err := target.FromURL(u)
	if err == nil {
		path, err = target.CanonicalPath(path)
	}
	if err == nil {
		err = target.CheckQuery(u.RawQuery)
	}
	if err != nil {
		return nil, &Denial{Code: BadRequest, Message: err.Error()}
	}
	run, _ := newRun(c, time.Time{})
	defer run.cancel(ErrRunClosed)
	x := &exchange{run: run, target: t}
	if denied := x.match(method, path); denied != nil {
		return nil, denied
	}
	if x.route.blind {
		method, path = http.MethodConnect, ""
	}
	a := &Admission{Input: x.policyInput(method, path), Blind: x.route.blind}
	a.Input.Run = ""
	for _, b := range x.matched {
		if b.approved && !slices.Contains(a.Secrets, b.secret) {
			a.Secrets = append(a.Secrets, b.secret)
		}
	}
	return a, nil
}
