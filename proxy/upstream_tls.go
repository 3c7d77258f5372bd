package proxy

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// upstreamTLS is what is asked of an upstream's TLS; nil roots are the system's.
func upstreamTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(512),
		DynamicRecordSizingDisabled: true, // small records help who renders a page while it loads
		VerifyConnection: func(cs tls.ConnectionState) error {
			if !slices.ContainsFunc(cs.VerifiedChains, strong) {
				return errWeakKey
			}
			return nil
		}}
}

// minRSABits is the smallest RSA key that is believed (NIST SP 800-131A,
// CA/Browser Forum baseline requirements section 6.1.5). crypto/x509 refuses
// SHA-1 itself, and takes RSA from 1024 bits on.
const minRSABits = 2048

var errWeakKey = errors.New("RSA key of less than 2048 bits in the certificate chain")

func strong(chain []*x509.Certificate) bool {
	return !slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && key.N.BitLen() < minRSABits
	})
}

// tlsMessage names the fault in the upstream's TLS, "" when it is not TLS that
// failed.
func tlsMessage(err error) string {
	var (
		name    x509.HostnameError
		root    x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, errWeakKey):
		return "the upstream's certificate chain holds an RSA key of less than 2048 bits, which is too weak"
	case errors.As(err, &name):
		return "the upstream's certificate is for another name"
	case errors.As(err, &root) && root.Cert != nil && weakSignature(root.Cert.SignatureAlgorithm):
		return "the upstream's certificate is signed with SHA-1 or MD5, which is too weak"
	case errors.As(err, &root):
		return "the upstream's certificate is signed by a CA that is not trusted here"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "the upstream's certificate is not valid yet"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the upstream's certificate has expired"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "the upstream's certificate is not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the upstream does not speak TLS on that port"
	}
	return handshakeMessage(err)
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// handshakeMessage reads what crypto/tls says in words alone.
func handshakeMessage(err error) string {
	var alert *net.OpError
	text := err.Error()
	switch {
	case strings.Contains(text, "tls: protocol version not supported"), strings.Contains(text, "tls: server selected unsupported protocol version"):
		return "the upstream speaks no TLS version from 1.2 on"
	case strings.Contains(text, "tls: certificate required"):
		return "the upstream asks for a client certificate"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the upstream refused the TLS handshake"
	}
	return ""
}
