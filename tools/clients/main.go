// Command goclient is a Go program that calls an API, for the end-to-end tests:
//
//	goclient get URL       with net/http
//	goclient grpc URL      with grpc-go: the URL's path is the service, with a unary Say and a stream Chat
//	goclient version go    of Go, and of grpc
//
// It prints all that came back. Nothing here speaks of a proxy, a certificate
// or a credential: what makes it work is the environment.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: goclient get|grpc URL, goclient version go|grpc")
	}
	call := map[string]func(string) error{"get": get, "grpc": say, "version": version}[os.Args[1]]
	if call == nil {
		log.Fatalf("unknown client %q", os.Args[1])
	}
	if err := call(os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func get(url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, body)
	}
	fmt.Println(answer.Header, string(body))
	return nil
}

// say makes one unary call, and exchanges three messages over a stream.
func say(url string) error {
	host, service, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx := context.Background()
	var head, trailer metadata.MD
	answer := new(wrapperspb.StringValue)
	if err := conn.Invoke(ctx, "/"+service+"/Say", wrapperspb.String("hello"), answer, grpc.Header(&head), grpc.Trailer(&trailer)); err != nil {
		return err
	}
	fmt.Println(shown(head), answer.GetValue(), shown(trailer))
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+service+"/Chat")
	if err != nil {
		return err
	}
	for i := range 3 {
		if err := stream.SendMsg(wrapperspb.String(fmt.Sprint("message ", i))); err != nil {
			return err
		}
		if err := stream.RecvMsg(answer); err != nil {
			return err
		}
		fmt.Println(answer.GetValue())
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(answer); err != io.EOF {
		return fmt.Errorf("the stream ended with %v", err)
	}
	fmt.Println(shown(stream.Trailer()))
	return nil
}

// shown is metadata that prints: grpc-go hides the values of its own type.
func shown(md metadata.MD) map[string][]string { return md }

func version(of string) error {
	if of == "grpc" {
		fmt.Println(grpc.Version)
	} else {
		fmt.Println(runtime.Version())
	}
	return nil
}
