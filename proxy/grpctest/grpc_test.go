// Package grpctest shows real gRPC, client and server, on both sides of the
// proxy. It is a module of its own: latchgate itself does not need gRPC.
package grpctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy"
	"github.com/latchgate/latchgate/secrets"
)

const token = "tok-0123456789abcdef/+&"

func TestUnary(t *testing.T) {
	client := dial(t)
	var header, trailer metadata.MD
	resp, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload("hello")}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(resp.GetPayload().GetBody()); got != "hello" {
		t.Errorf("payload %q", got)
	}
	scrubbed(t, header, trailer)
}

func TestALargeMessagePassesBothWays(t *testing.T) {
	client := dial(t)
	big := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	resp, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(big)})
	if err != nil || string(resp.GetPayload().GetBody()) != big {
		t.Fatalf("%d bytes, %v", len(resp.GetPayload().GetBody()), err)
	}
}

func TestClientStream(t *testing.T) {
	stream, err := dial(t).StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := stream.Send(&testpb.StreamingInputCallRequest{Payload: payload("12345")}); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := stream.CloseAndRecv()
	if err != nil || resp.GetAggregatedPayloadSize() != 50 {
		t.Fatalf("%v %v", resp, err)
	}
	header, _ := stream.Header()
	scrubbed(t, header, stream.Trailer())
}

func TestServerStream(t *testing.T) {
	req := &testpb.StreamingOutputCallRequest{}
	for size := range 10 {
		req.ResponseParameters = append(req.ResponseParameters, &testpb.ResponseParameters{Size: int32(size + 1)})
	}
	stream, err := dial(t).StreamingOutputCall(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; ; size++ {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) && size == 11 {
			break
		}
		if err != nil || len(resp.GetPayload().GetBody()) != size {
			t.Fatalf("message %d: %v %v", size, resp, err)
		}
	}
	header, _ := stream.Header()
	scrubbed(t, header, stream.Trailer())
}

// Each answer comes before the next question is asked: nothing is held back.
func TestBidirectionalStream(t *testing.T) {
	stream, err := dial(t).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"t", "message 7", "p", "to", "dG", "", "a message"} { // some end as a value, or its hex or base64, begins
		if err := stream.Send(&testpb.StreamingOutputCallRequest{Payload: payload(text)}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil || string(resp.GetPayload().GetBody()) != text {
			t.Fatalf("%v %v", resp, err)
		}
	}
	if err := stream.Send(&testpb.StreamingOutputCallRequest{Payload: payload("echo the credential")}); err != nil {
		t.Fatal(err)
	}
	// As many asterisks stand for the value, so that the lengths around it stay right.
	resp, err := stream.Recv()
	if got, want := string(resp.GetPayload().GetBody()), "Bearer "+strings.Repeat("*", len(token)); err != nil || got != want {
		t.Errorf("%v: the message says %q, want %q", err, got, want)
	}
	_ = stream.CloseSend()
}

func TestAStatusIsTheUpstreams(t *testing.T) {
	_, err := dial(t).UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "you sent " + token}})
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "you sent ***REDACTED***" {
		t.Errorf("%v", err)
	}
}

func TestAClientsDeadlineReachesTheUpstream(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	stream, err := dial(t).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	<-gone // the test's own deadline is the limit
}

// gone tells of each stream that ended at the upstream without its client's end.
var gone = make(chan struct{}, 16)

func payload(s string) *testpb.Payload { return &testpb.Payload{Body: []byte(s)} }

// scrubbed checks that metadata came back, and the credential in it did not.
func scrubbed(t *testing.T, header, trailer metadata.MD) {
	t.Helper()
	for name, md := range map[string]metadata.MD{"header": header, "trailer": trailer} {
		if got := md.Get("x-echo"); len(got) != 1 || got[0] != "Bearer ***REDACTED***" {
			t.Errorf("%s: %v", name, md)
		}
	}
}

// service echoes, and refuses what does not carry exactly our credential.
type service struct {
	testpb.UnimplementedTestServiceServer
}

func authorize(ctx context.Context) (metadata.MD, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+token {
		return nil, status.Errorf(codes.Unauthenticated, "%d credentials", len(got))
	}
	return metadata.Pairs("x-echo", md.Get("authorization")[0]), nil
}

func (service) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, err := authorize(ctx)
	if err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, md)
	_ = grpc.SetTrailer(ctx, md)
	if s := r.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &testpb.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (service) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	md, err := authorize(s.Context())
	if err != nil {
		return err
	}
	_ = s.SetHeader(md)
	s.SetTrailer(md)
	n := 0
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
		}
		if err != nil {
			return err
		}
		n += len(r.GetPayload().GetBody())
	}
}

func (service) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	md, err := authorize(s.Context())
	if err != nil {
		return err
	}
	_ = s.SetHeader(md)
	s.SetTrailer(md)
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(strings.Repeat("x", int(p.GetSize())))}); err != nil {
			return err
		}
	}
	return nil
}

func (service) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	md, err := authorize(s.Context())
	if err != nil {
		return err
	}
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			gone <- struct{}{}
			return err
		}
		text := string(r.GetPayload().GetBody())
		if text == "echo the credential" {
			text = md.Get("x-echo")[0]
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(text)}); err != nil {
			return err
		}
	}
}

// dial starts a service and a proxy before it, and returns a client that goes
// through both.
func dial(t *testing.T) testpb.TestServiceClient {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, ctx := t.TempDir(), context.Background()
	cert, roots := certificate(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	srv := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	testpb.RegisterTestServiceServer(srv, service{})
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	_, port, _ := net.SplitHostPort(ln.Addr().String())

	file, key := filepath.Join(dir, "secrets.enc.yaml"), filepath.Join(dir, "age.key")
	_, err = secrets.Init(ctx, secrets.InitOptions{File: file, KeyFile: key})
	must(err)
	store, err := secrets.Open(secrets.Options{File: file, KeyFile: key})
	must(err)
	must(store.Edit(ctx, func(d *secrets.Document) error { return d.Set("TOKEN", []byte(token)) }))
	ms, problems := manifests.Parse("grpc.yaml", fmt.Appendf(nil,
		"action_id: api\negress: {profile: proxy_allowlist, allowed_domains: [\"grpc.localhost:%s\"]}\nsecrets: [{name: TOKEN, required: true}]\n", port))
	if manifests.HasErrors(problems) {
		t.Fatal(problems)
	}
	record, err := audit.Open(filepath.Join(dir, "audit.jsonl"), audit.Options{})
	must(err)
	engine, err := policy.New(ctx, policy.Options{})
	must(err)
	ca, err := certs.Open(filepath.Join(dir, "ca"), certs.Options{})
	must(err)
	metrics, log := proxy.NewMetrics(nil), slog.New(slog.DiscardHandler)
	wire, err := proxy.NewWire(proxy.WireConfig{Policy: engine, Audit: record, Metrics: metrics, Log: log,
		Upstream: proxy.UpstreamConfig{Roots: roots, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	must(err)
	runs := proxy.NewRuns(0, nil)
	server := proxy.NewServer(proxy.ServerConfig{Wire: wire, Runs: runs, CA: ca, Metrics: metrics, Log: log})
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { _ = server.Serve(door) }()
	run, tok, err := runs.Open(proxy.RunConfig{Principal: "user:test", Door: "exec", Secrets: store.View([]secrets.Want{{Name: "TOKEN", Required: true}}),
		Placeholders: map[string]string{"TOKEN": "ph-0123456789abcdefghijklmnopqrstuvwxyz"}, // so that requests are looked into as well
		Grants:       []proxy.Grant{{Manifest: ms[0], Secrets: []string{"TOKEN"}}}})
	must(err)

	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca.RootPEM())
	conn, err := grpc.NewClient("passthrough:///grpc.localhost:"+port, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(trusted, "")),
		grpc.WithContextDialer(connectDialer(door.Addr().String(), run.ID, tok)))
	must(err)
	t.Cleanup(func() {
		_ = conn.Close()
		runs.CloseAll()
		ended, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ended)
		wire.Close()
		_ = store.Close()
		_ = record.Close(ctx)
	})
	return testpb.NewTestServiceClient(conn)
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "grpc"}, DNSNames: []string{"grpc.localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
