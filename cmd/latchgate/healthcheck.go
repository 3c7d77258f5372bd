package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// probeTimeout bounds the question and its answer together.
const probeTimeout = 5 * time.Second

func (a *app) healthcheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the daemon on this machine whether it can serve",
		Long: `Ask the daemon on this machine whether it can serve: GET /readyz at
metrics.listen. The exit status is 0 when it can, else 1 with its reason. It is
for containers, which have no curl.`,
		Example: `  latchgate healthcheck
  latchgate healthcheck --metrics-listen 127.0.0.1:9000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.flagKeys = map[string]string{"metrics-listen": "metrics.listen"}
			cfg, err := a.config(c)
			if err != nil {
				return err
			}
			return askReady(c, cfg.Metrics.Listen)
		},
	}
	c.Flags().String("metrics-listen", "", "address of /readyz (metrics.listen)")
	return c
}

// askReady asks the daemon that listens at addr.
func askReady(c *cobra.Command, addr string) error {
	if addr == "" {
		return withHint(errors.New("metrics.listen is empty: there is nobody to ask"), "set metrics.listen in latchgate.toml")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("metrics.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost" // it listens on every address, this one included
	}
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	// No proxy: the variables of this environment may name latchgate itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: probeTimeout}
	resp, err := client.Do(r)
	if err != nil {
		return withHint(fmt.Errorf("the daemon does not answer: %w", err), "start it with `latchgate proxy`; its log says why if it ended")
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return withHint(fmt.Errorf("not ready: %s", strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", " ")),
			"mend what it names; it keeps the last good one until then")
	}
	return nil
}
