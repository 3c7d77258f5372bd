package proxy

import (
	"context"
	"encoding/base64"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchgate/latchgate/manifests"
)

// field is what other credential-brokering proxies get wrong, and what here
// shows that it is right: the tests by folder, or a sentence of docs/security.md
// that says that it is not promised.
var field = []struct {
	wrong string
	tests map[string][]string
	said  string
}{
	// Where credentials leak.
	{"an inner Host retargets a request; the credential is chosen by one name and the connection by another", map[string][]string{
		".": {"TestInnerHostCannotRetargetARequest", "TestTheServerNameIsCheckedInAResumedSessionToo", "TestAHostFieldBesideTheAuthorityChangesNothingInHTTP2"}}, ""},
	{"a credential goes out over plain http", map[string][]string{".": {"TestASecretIsNeverSentOverPlainHTTP", "TestASecretDoesNotGoOverPlainHTTPThroughAnUpstreamProxy"}}, ""},
	{"an upstream that echoes hands the secret over; scrubbers miss codings, splits, encodings, fields, trailers, frames", map[string][]string{
		".":     {"TestScrubbing", "TestAnAnswerWithoutContentIsScrubbedToo", "TestTrailersPassBothWays", "TestEarlyHintsArriveBeforeTheAnswerAndScrubbed", "TestAWebSocketHandshakeIsStampedAndItsMessagesAreChecked"},
		"scrub": {"TestNoOutputHoldsASecretHoweverItIsEncodedOrCut", "TestEveryListedFormIsReplaced", "TestSecretInAnEncodedBodyIsReplaced", "TestLargeBodiesAreScrubbedAcrossBuffers"}}, ""},
	{"Range reads a secret out piece by piece", map[string][]string{".": {"TestScrubbing"}}, ""},
	{"cutting before redacting leaves a prefix; logs after injection; full URLs in logs; raw errors to the client", map[string][]string{
		"scrub": {"TestErrorOfTheSourceDropsWhatCouldBeASecret"},
		".":     {"TestNothingIsLoggedThatAClientSent", "TestASecretInAMalformedAnswerDoesNotReachTheLog", "TestEveryExchangeIsRecordedOnceByNamesAlone"}}, ""},
	{"a secret bound to an action goes to any host of the action", map[string][]string{".": {"TestOneActionsSecretDoesNotGoOnAnotherActionsRequest", "TestASecretGoesToTheHostsOfItsBindingAlone"}}, ""},
	{"decrypted files are never evicted; a rotation is pinned to the old value", map[string][]string{
		"../secrets": {"TestEntryLeavesMemoryAtItsTTLWithoutALookUp", "TestRewrittenDuringDecryptIsNeverCachedAsNew"}}, ""},
	{"rotated values are no longer scrubbed", map[string][]string{".": {"TestARotatedSecretIsUsedByTheNextRequestAndTheOldOneStillScrubbed"}}, ""},
	{"answers that create a credential pass through", nil, "Another credential that the upstream *makes* is not known here."},
	{"redirects are followed with the credential on; signed URLs are stamped as well", map[string][]string{".": {"TestARedirectIsTheClients", "TestSignedURLsAreNotStamped"}}, ""},
	{"Alt-Svc moves the client around the proxy", map[string][]string{".": {"TestScrubbing", "TestEarlyHintsArriveBeforeTheAnswerAndScrubbed"}}, ""},

	// Where rules are bypassed.
	{"a rule is matched on one path and another is sent; case, trailing dot, underscore alias", map[string][]string{
		"target": {"TestPathHasOneSpelling", "TestServersAgreeOnACanonicalPath"}, ".": {"TestExceptPathsCoverWhatALenientServerReads", "TestBindings", "FuzzInsideATunnel"}}, ""},
	{"a case-sensitive host falls through; mixed case or a trailing dot is refused", map[string][]string{
		"target": {"TestAuthorityHasOneSpelling"}, ".": {"TestInnerHostCannotRetargetARequest"}}, ""},
	{"private-address lists have holes; check, then dial with two look-ups", map[string][]string{
		"dialguard": {"TestEverySpecialPurposeRangeIsRefusedAndItsNeighboursAreNot", "TestMetadataServicesAreRefusedWhateverIsAllowed", "TestANameThatChangesBetweenTwoLookUpsIsCaught"},
		".":         {"TestPrivateAddressesAreRefusedWhenTheyAreDialled"}}, ""},
	{"identity is resolved once a CONNECT", map[string][]string{".": {"TestARevokedRunStopsInsideItsOpenTunnel"}}, ""},
	{"an empty allowlist means everything; invalid patterns are skipped; unknown keys accepted; WebSocket ignores the upstream proxy", map[string][]string{
		".": {"TestNoHostMeansNone", "TestEverythingGoesThroughTheUpstreamProxy"}, "../manifests": {"TestEveryMistakeIsNamedAtItsLine", "TestHostPatternRefusesWhatItCannotKeep"}}, ""},

	// What breaks clients.
	{"a ClientHello in the packet of the CONNECT is lost; idle tunnels stay; a goroutine is left of each", map[string][]string{
		".": {"TestWhatComesWithTheConnectIsNotLost", "TestIdleTunnelsAreClosed", "TestTunnelsLeaveNoGoroutineBehind", "TestIdleTunnelsCostLittleAndAreGivenBack"}}, ""},
	{"a body is cut silently; JSON unescaped; the query re-sorted; bodies forced through UTF-8; a secret that holds a placeholder is expanded", map[string][]string{
		".": {"TestRequestBodiesKeepTheirMeaning", "TestAPlaceholderGivesWayToItsSecretWhereABindingAllowsIt", "TestBytesThatAreNoTextPassBothWays"}}, ""},
	{"a secret takes h2 away and breaks gRPC", map[string][]string{
		".": {"TestASecretTakesNeitherHTTP2NorItsStreamsAway"}, "grpctest": {"TestUnary", "TestClientStream", "TestServerStream", "TestBidirectionalStream"}}, ""},
	{"SSE is buffered; NDJSON held to the end", map[string][]string{".": {"TestEventsPassAtOnceWhateverTheirContentType"}, "scrub": {"TestWhatTheSenderFlushedComesOutAtOnce", "TestTheEndOfAMessageIsNotHeldBack"}}, ""},
	{"an Upgrade is not answered, or a close not passed on; a token inside a frame", map[string][]string{
		".": {"TestWhatIsNotAWebSocketIsNotRelayedAsOne", "TestAWebSocketEndsWhenEitherSideBreaksOff", "TestAWebSocketHandshakeIsStampedAndItsMessagesAreChecked"}}, ""},
	{"Content-Length: 0 is sent as chunked; trailers dropped", map[string][]string{".": {"TestTheFramingOfARequestBodyIsKept", "TestTrailersPassBothWays"}}, ""},
	{"a response header timeout kills slow calls; read and write timeouts bound whole bodies", map[string][]string{".": {"TestAnAnswerMayTakeAsLongAsItTakes", "TestSlowBodiesPassBothWays"}}, ""},
	{"git needs Basic where the API needs Bearer; the placeholder hides in base64; git waits for 407", map[string][]string{
		".": {"TestOneSecretIsBearerHereAndBasicThere", "TestAPlaceholderGivesWayToItsSecretWhereABindingAllowsIt"}, "../cmd/latchgate": {"TestGitClonesAndPushesWithBasic"}}, ""},
	{"407 without Proxy-Authenticate loops .NET", map[string][]string{".": {"TestCredentialsOfARunAreChecked"}}, ""},
	{"Python 3.13 is strict about key identifiers and key usage; a bundle must hold the system's roots", map[string][]string{
		"../certs": {"TestRootIsWhatStrictClientsWant", "TestOpensslFindsNothingWrongWithTheChain", "TestBundleHoldsTheSystemsRootsAndOurs"}}, ""},
	{"uploads signed chunk by chunk can't be signed anew by header alone", nil, "Requests that a client signs itself (AWS SigV4, chunk by chunk or whole)"},
	{"two idle connections a host; RSA leaves", map[string][]string{".": {"TestConnectionsAreUsedAgain"}, "../certs": {"TestLeafIsValidForItsHostAndNoOther"}}, ""},
	{"people wait longer than clients do", nil, "an approval is asked for before a run opens"},
}

// TestWhatOthersGetWrongHasATest fails when a test of the table is gone.
func TestWhatOthersGetWrongHasATest(t *testing.T) {
	have := map[string][]string{}
	docs, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range field {
		if len(f.tests) == 0 && !strings.Contains(string(docs), f.said) {
			t.Errorf("%s: docs/security.md does not say %q", f.wrong, f.said)
		}
		for folder, names := range f.tests {
			if have[folder] == nil {
				have[folder] = testsIn(t, folder)
			}
			for _, name := range names {
				if !slices.Contains(have[folder], name) {
					t.Errorf("%s: no %s in %s", f.wrong, name, folder)
				}
			}
		}
	}
}

func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestASecretGoesToTheHostsOfItsBindingAlone(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT", "evil.localhost:PORT"]}
secrets: [{name: TOKEN, required: true, inject: [{as: bearer, hosts: ["api.localhost:PORT"]}]}]
`)
	client := h.client(run, tok, func(tr *http.Transport) { tr.TLSClientConfig.RootCAs.AddCert(h.origin.cert) })
	get(t, client, h.url("/"))
	if got := h.origin.last(t).Header.Get("Authorization"); got != "Bearer "+token {
		t.Errorf("its own host got %q", got)
	}
	get(t, client, "https://evil.localhost:"+h.origin.port+"/")
	if got := h.origin.last(t); got.Header.Get("Authorization") != "" || !strings.HasPrefix(got.Host, evilHost) {
		t.Errorf("%s got %q", got.Host, got.Header["Authorization"])
	}
}

func TestARedirectIsTheClients(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/from", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.localhost:"+h.origin.port+"/to", http.StatusTemporaryRedirect)
	})
	resp, _ := get(t, h.client(run, tok), h.url("/from"))
	if resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasSuffix(resp.Header.Get("Location"), "/to") || len(h.origin.requests()) != 1 {
		t.Errorf("%s to %q, %d requests", resp.Status, resp.Header.Get("Location"), len(h.origin.requests()))
	}
}

func TestNoHostMeansNone(t *testing.T) {
	h := newHouse(t)
	for name, doc := range map[string]string{
		"no egress":     "action_id: a\n",
		"profile none":  "action_id: a\negress: {profile: none}\n",
		"an empty list": "action_id: a\negress: {profile: proxy_allowlist, allowed_domains: []}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, problems := manifests.Parse("a.yaml", []byte(doc)); manifests.HasErrors(problems) {
				return // refused at load is as good
			}
			run, tok := h.open(doc)
			for _, target := range []string{"http://api.localhost:" + h.origin.port + "/", "http://127.0.0.1/"} {
				resp, body := get(t, h.client(run, tok), target)
				denied(t, resp, body, EgressDenied)
			}
			_, _, resp := h.connect(run, tok, apiHost+":"+h.origin.port, "")
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("CONNECT: %s", resp.Status)
			}
		})
	}
}

func TestBytesThatAreNoTextPassBothWays(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest, placeholdersOf)
	h.origin.on("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	var body strings.Builder
	for i := range 1 << 16 {
		body.WriteByte(byte(i))
		body.WriteByte(byte(i >> 8))
	}
	for _, contentType := range []string{"application/octet-stream", "application/json", "text/plain; charset=utf-8", "multipart/form-data; boundary=x", ""} {
		r, _ := http.NewRequest(http.MethodPost, h.url("/echo"), strings.NewReader(body.String()))
		r.Header["Content-Type"] = []string{contentType}
		if _, got := do(t, h.client(run, tok), r); got != body.String() {
			t.Errorf("%q: %d bytes came back of %d, or others", contentType, len(got), body.Len())
		}
	}
}

// A slow model call is not a fault.
func TestAnAnswerMayTakeAsLongAsItTakes(t *testing.T) {
	h := newHouse(t, func(_ *WireConfig, s *ServerConfig, _ *policyOptions) {
		s.HeaderTimeout, s.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond
	})
	run, tok := h.open(bearerManifest)
	h.origin.on("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(400 * time.Millisecond) // longer than every limit of the door
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(400 * time.Millisecond)
		_, _ = io.WriteString(w, "second")
	})
	for _, h2 := range []bool{false, true} {
		client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = h2 })
		if resp, body := get(t, client, h.url("/slow")); resp.StatusCode != http.StatusOK || body != "first second" {
			t.Errorf("h2 %t: %s %q", h2, resp.Status, body)
		}
	}
	if h.wire.up.ResponseHeaderTimeout != 0 {
		t.Error("there is a limit on the time until an answer's head")
	}
}

// Where git needs Basic the API needs Bearer, and their hosts are two.
func TestOneSecretIsBearerHereAndBasicThere(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: git
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT", "evil.localhost:PORT"]}
secrets:
  - name: TOKEN
    required: true
    inject:
      - {as: bearer, hosts: ["api.localhost:PORT"]}
      - {as: basic, username: x-access-token, hosts: ["evil.localhost:PORT"]}
`)
	for host, want := range map[string]string{
		apiHost:  "Bearer " + token,
		evilHost: "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token)),
	} {
		get(t, h.client(run, tok), "https://"+host+":"+h.origin.port+"/", "Authorization", "Basic bWU6bWU=")
		if got := h.origin.last(t).Header["Authorization"]; len(got) != 1 || got[0] != want {
			t.Errorf("%s got %q", host, got)
		}
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	h := newHouse(t)
	h.wire.up.ForceAttemptHTTP2 = false
	var conns distinct
	const n = 32
	arrived, release := make(chan struct{}, n), make(chan struct{})
	h.origin.on("/at-once", func(_ http.ResponseWriter, r *http.Request) {
		conns.add(r.RemoteAddr)
		arrived <- struct{}{}
		<-release
	})
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok, func(tr *http.Transport) { tr.MaxIdleConnsPerHost = n })
	for round := range 3 {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url("/at-once"), nil)
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
		for range n {
			<-arrived
		}
		for range n {
			release <- struct{}{}
		}
		wg.Wait()
		if round == 0 && conns.count() != n {
			t.Fatal(fmt.Errorf("%d connections for %d requests at once", conns.count(), n))
		}
	}
	if got := conns.count(); got > n+n/4 { // a connection that comes back late makes a new one
		t.Errorf("%d connections for three rounds of %d requests", got, n)
	}
}
