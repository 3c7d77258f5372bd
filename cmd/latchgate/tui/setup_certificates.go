package tui

import (
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"
)

// certificates is the root, and how clients get to trust it.
type certificates struct {
	*shared
	scroll details
}

func (c *certificates) title() string   { return "Certificates" }
func (c *certificates) capturing() bool { return false }
func (c *certificates) load()           {}
func (c *certificates) hints() []hint   { return []hint{{"↑↓", "scroll"}} }

func (c *certificates) help() []string {
	return []string{"The root that latchgate signs with where it looks into a tunnel. Clients have to trust it; `exec` and `env` tell most of them by variables. The key never leaves its file."}
}

func (c *certificates) update(msg tea.Msg) (tea.Cmd, bool) {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		return nil, c.scroll.key(k.String())
	}
	return nil, false
}

// soon is when the end of a root is worth a warning.
const soon = 60 * 24 * time.Hour

func (c *certificates) view(width, height int) []string {
	if c.install.Fault != "" {
		return faultLines(c.install.Fault, width)
	}
	x := c.install.Certificate
	switch {
	case x.Missing:
		c.scroll.pairs = []pair{{"root", dim("none yet; it is made when it is first needed")}, {"will be", text(x.File)}}
	case x.Fault != "":
		c.scroll.pairs = []pair{{"root", cell{errorSign + " " + Clean(x.Fault), errorStyle}}, {"file", text(x.File)},
			{"to do", text("clients trust the old root: restore both files from a backup, or move both away for a new one")}}
	default:
		until, left := cell{x.Expires.Format(time.DateOnly), okStyle}, x.Expires.Sub(c.now())
		sign := okSign
		if left < soon {
			sign, until.style = warnSign, warnStyle
		}
		until.text = fmt.Sprintf("%s %s, in %d days", sign, until.text, int(left.Hours()/24))
		if left <= 0 {
			until = cell{errorSign + " is over since " + x.Expires.Format(time.DateOnly), errorStyle}
		}
		mode := cell{okSign + " " + x.Mode, okStyle}
		if x.Mode != "0600" && x.Mode != "0400" {
			mode = cell{errorSign + " " + x.Mode + ": others can read it, and sign for any host", errorStyle}
		}
		c.scroll.pairs = []pair{{"root", text(x.Subject)}, {"valid until", until}, {"file", text(x.File)}, {"SHA-256", text(x.SHA256)}, {"key", text(x.Key)}, {"key's mode", mode}}
	}
	c.scroll.pairs = append(c.scroll.pairs, pair{"", text("")},
		pair{"the root alone", text("latchgate ca export > latchgate-root.pem")},
		pair{"with all others", text("latchgate ca bundle > bundle.pem")},
		pair{"Debian, Ubuntu", text("latchgate ca export | sudo tee /usr/local/share/ca-certificates/latchgate.crt >/dev/null && sudo update-ca-certificates")},
		pair{"Fedora, RHEL", text("latchgate ca export | sudo tee /etc/pki/ca-trust/source/anchors/latchgate.pem >/dev/null && sudo update-ca-trust")},
		pair{"macOS", text("latchgate ca export > root.pem && security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db root.pem")})
	return c.scroll.view(width, height)
}
