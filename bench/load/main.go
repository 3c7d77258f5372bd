// Command load measures what latchgate costs: a real daemon between a client and
// a TLS origin, each a process of its own, on loopback.
//
//	go run ./bench/load                                  # direct, goproxy, latchgate
//	go run ./bench/load -rounds 5 -w ka-16,h2-64
//	go run ./bench/load -targets direct,goproxy,latchgate,squid,mitmdump
//	go run ./bench/load -targets goproxy,latchgate,latchgate:program=/tmp/other -w tunnel-8
//	go run ./bench/load -grow all                        # with runs, hosts, secrets, bindings, actions
//
// goproxy is a bare one that stamps one header, with a pool that is large enough:
// what latchgate's own door is made of, without any of its checks. squid
// (Debian's squid-openssl) and mitmdump (Debian's mitmproxy) are measured where
// they are installed.
//
// Every run is repeated in rounds, with the targets one after the other in each,
// and the medians are printed. On a machine that does other things the processor
// time a thousand requests took, and the ratios within one run, are what to trust.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "origin":
		err = serveOrigin(os.Args[2])
	case len(os.Args) > 1 && os.Args[1] == "goproxy":
		err = serveGoproxy(os.Args[2])
	default:
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	targets := flag.String("targets", "direct,goproxy,latchgate", "comma-separated: direct, goproxy, squid, mitmdump, latchgate[:OPTION=VALUE...] with the options runs, hosts, secrets, bindings, actions, program")
	names := flag.String("w", "ka-1,ka-16,ka-64,h2-64,tunnel-8,resume-8,cold-4,down-4,up-4,sse-8,idle-500", "comma-separated workloads, each with how much at a time")
	grow := flag.String("grow", "", "measure how latchgate's cost grows, instead: comma-separated dimensions of "+dimensions()+", or all")
	rounds := flag.Int("rounds", 3, "rounds; medians are printed")
	length := flag.Duration("time", time.Second, "length of one run")
	program := flag.String("latchgate", "", "the program to measure (default: built from this module)")
	environ := flag.String("environ", "", "comma-separated variables for the proxies, such as GOMAXPROCS=1,GOMEMLIMIT=256MiB")
	flag.Parse()
	comparisons := []comparison{{strings.Split(*targets, ","), *names}}
	if *grow != "" {
		var err error
		if comparisons, err = growth(*grow); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := newBench(ctx, *program, *environ)
	if err != nil {
		return err
	}
	defer b.close()
	b.length = *length
	for _, c := range comparisons {
		if err := b.compare(ctx, c, *rounds); err != nil {
			return err
		}
	}
	return nil
}
