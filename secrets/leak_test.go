package secrets

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestPlaintextInTheWrongPlaceIsNeverQuoted puts a value where only ciphertext
// belongs, in every format and in every place but that of a name, and looks for it
// in what both backends say. Programs and parsers like to quote what they can't read.
func TestPlaintextInTheWrongPlaceIsNeverQuoted(t *testing.T) {
	const sentinel = "hunter2sentinel"
	files := map[string]string{
		"s.yaml": "A: one\nB: two\nN: 5\nM:\n    x: y\nL:\n    - z\nplain_unencrypted: open\n",
		"s.json": `{"A":"one","B":"two","N":5,"M":{"x":"y"},"L":["z"],"plain_unencrypted":"open"}`,
		"s.env":  "A=one\nB=two\nplain_unencrypted=open\n",
		"s.ini":  "A = one\nB = two\n[M]\nx = y\n",
	}
	lines := map[string][]string{
		"s.yaml": {"Z: SENT", "Z: LONG", "#LONG", "SENT", "- SENT", "Z: [SENT", "Z: {SENT", `Z: "SENT`, "Z: 'SENT", "\tZ: SENT", "Z: *SENT", "Z: !SENT x", "Z: !!int SENT", "Z: !!binary SENT", "<<: SENT", "? SENT", "  Z: SENT", "Z: SENT: x", "Z: |SENT", "Z: %SENT", "Z: @SENT", "%SENT", "...\nSENT", "Z: !!float SENT", "Z: !!timestamp SENT", "A: SENT", "Z: ENC[SENT]", "Z: ENC[AES256_GCM,data:SENT,iv:SENT,tag:SENT,type:str]", "Z: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:SENT]", "Z: ENC[AES256_GCM,data:-SENT-,iv:AAAA,tag:AAAA,type:str]", "[SENT]: x", "{SENT: x}: y", "Z: 2001-01-01SENT", "Z: &SENT", "Z: *a\nY: SENT", "#SENT\nZ: SENT", "1: SENT", "true: SENT", "Z: \xff\xfeSENT", "Z: \x01SENT", "SENT\x00"},
		"s.json": {`"Z":"SENT",`, `"Z":"LONG",`, `"Z":LONG,`, `"Z":SENT,`, `SENT,`, `"SENT,`, `"Z":"SENT`, `"Z":["SENT"],`, `"Z":"\SENT",`, `"SENT",`, `"Z":{"a":"SENT"},`, `"Z":1SENT,`, `"Z":"ENC[AES256_GCM,data:SENT,iv:SENT,tag:SENT,type:str]",`, `"Z":"ENC[SENT]",`, `"A":"SENT",`, `"Z":trueSENT,`, "\"Z\":\"\x01SENT\",", "\"Z\":\"SENT\nx\","},
		"s.env":  {"Z=SENT", "Z=LONG", "LONG", "SENT", " Z=SENT", "export Z=SENT", "#SENT", "A=SENT", "Z=ENC[AES256_GCM,data:SENT,iv:SENT,tag:SENT,type:str]", "Z=ENC[SENT]", "SENT SENT", "Z: SENT", "sops_SENT=SENT", "sops_mac=SENT", "sops_age=SENT", "sops_age__list_SENT=x", "sops_age__list_x__map_SENT=SENT", "sops_lastmodified=SENT", "sops_mac_only_encrypted=SENT"},
		"s.ini":  {"Z = SENT", "Z = LONG", "LONG", "SENT", "[SENT", "[SENT]\nSENT", `Z = "SENT`, "Z = `SENT", "Z = \"\"\"SENT", "A = SENT", "Z = ENC[AES256_GCM,data:SENT,iv:SENT,tag:SENT,type:str]", "Z = ENC[SENT]", "= SENT", "Z = SENT \\", "Z: SENT", "; SENT\nSENT", "\"Z\" SENT", "`Z` SENT", "Z = 'SENT"},
	}
	for name, plain := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.encrypted(name, plain)
			text := h.read(name)
			first := strings.Index(text, strings.TrimPrefix(plain, "{")[:2]) // the first name, a quote before it
			for _, line := range lines[name] {
				line := strings.ReplaceAll(strings.ReplaceAll(line, "LONG", strings.Repeat("SENT", 1000)), "SENT", sentinel)
				for where, broken := range map[string]string{
					"before":     text[:first] + line + "\n" + text[first:],
					"at the end": strings.TrimRight(text, "\n}") + "\n" + line + "\n",
				} {
					h.write(name, broken)
					for _, backend := range []string{BackendEmbedded, BackendSops} {
						var log bytes.Buffer
						s := h.openWith(Options{File: h.path(name), KeyFile: h.key, Backend: backend, Logger: slog.New(slog.NewTextHandler(&log, nil))})
						_, err := s.loadOnce(t.Context())
						if err == nil {
							continue
						}
						s.mu.Lock()
						s.logLocked(err)
						s.mu.Unlock()
						if all := detailOf(err) + err.Error() + log.String(); strings.Contains(all, sentinel) {
							t.Errorf("%s, %q %s: %s", backend, line, where, detailOf(err))
						}
					}
				}
			}
		})
	}
}
