package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/latchgate/latchgate/certs"
)

// caSoon is how long before its end a root is worth a warning: it has to be
// carried to every client.
const caSoon = 60 * 24 * time.Hour

func (d *doctor) lookAtCA(context.Context) {
	there := false
	for _, name := range []string{"ca.pem", "ca.key"} {
		if _, err := os.Lstat(filepath.Join(d.cfg.CA.Dir, name)); err == nil {
			there = true
		}
	}
	if !there { // Open would make one
		d.ok("authority", "none yet; it is made when it is first needed, in "+d.cfg.CA.Dir, "")
		return
	}
	ca, err := certs.Open(d.cfg.CA.Dir, certs.Options{})
	if err != nil {
		d.fail("authority", err.Error(), "clients trust the old root: restore both files from a backup, or move both away for a new one")
		return
	}
	until := ca.Expires().Format(time.DateOnly)
	if time.Until(ca.Expires()) < caSoon {
		d.warn("authority", fmt.Sprintf("%s is valid until %s", ca.RootFile(), until), "move the folder away, restart, and give clients the new root")
	} else {
		d.ok("authority", fmt.Sprintf("%s, valid until %s", ca.RootFile(), until), "")
	}
	key := filepath.Join(d.cfg.CA.Dir, "ca.key")
	switch mode, err := ca.KeyFileMode(); {
	case err != nil:
		d.fail("authority's key", err.Error(), "make the file readable for the user that latchgate runs as")
	case mode&0o077 != 0:
		d.fail("authority's key", fmt.Sprintf("%s has mode %04o: others can sign for any host", key, mode), "chmod 600 "+key)
	default:
		d.ok("authority's key", fmt.Sprintf("mode %04o", mode), "")
	}
	d.lookAtBundle(ca)
}

// lookAtBundle looks at the file that clients are pointed at: it takes the place
// of their own roots, so it has to hold those of the system and ours.
func (d *doctor) lookAtBundle(ca *certs.CA) {
	file := filepath.Join(d.cfg.CA.Dir, "bundle.pem")
	const again = "restart `latchgate proxy`, or run any `latchgate exec`: both write it anew"
	held, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		d.ok("bundle", "none yet; `proxy` and `exec` write it when they start", "")
		return
	}
	if err != nil {
		d.fail("bundle", err.Error(), "make the file readable for the user that latchgate runs as, and for clients")
		return
	}
	want, err := ca.Bundle()
	if err != nil {
		d.fail("bundle", err.Error(), "mend SSL_CERT_FILE or SSL_CERT_DIR of this shell, or unset it")
		return
	}
	ours, others := 0, 0
	for _, c := range certificates(held) {
		if c.Equal(ca.Root()) {
			ours++
		} else {
			others++
		}
	}
	switch {
	case ours == 0:
		d.fail("bundle", file+" does not hold our root: clients refuse every host that is intercepted", again)
	case others == 0 && len(certificates(want)) == 1:
		d.warn("bundle", "the system has no roots: clients trust no host that is not intercepted", "install the ca-certificates package")
	case others == 0:
		d.fail("bundle", file+" holds our root alone: clients trust no host that is not intercepted", again)
	case !bytes.Equal(held, want):
		d.warn("bundle", fmt.Sprintf("%s holds other roots than the system does now", file), again)
	default:
		d.ok("bundle", fmt.Sprintf("%s: the system's %d roots and ours, current", file, others), "")
	}
}

func certificates(bundle []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
	return all
}
