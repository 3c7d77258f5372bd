package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	encoding_asn1 "encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// mint signs leaves. What they have in common (issuer, key, extensions) is
// encoded once, by [x509.CreateCertificate]; each has a serial number, a validity
// and a name of its own, and one signature. CreateCertificate would encode it all
// anew and verify what it signed, which takes longer than signing.
type mint struct {
	signer     crypto.Signer
	hash       crypto.Hash // of what is signed; 0: the message itself
	algorithm  []byte      // the signature's AlgorithmIdentifier
	issuer     []byte
	publicKey  []byte
	extensions []byte // all but the SAN, without what encloses them
}

// hashes are those of the algorithms that [x509.CreateCertificate] chooses.
var hashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512,
	x509.SHA256WithRSA: crypto.SHA256, x509.PureEd25519: 0,
}

// newMint signs a leaf without a name, and keeps what it is made of.
func newMint(ca *pair, leafKey *ecdsa.PrivateKey) (*mint, error) {
	ski, err := subjectKeyID(leafKey.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		NotBefore:             ca.cert.NotBefore,
		NotAfter:              ca.cert.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          ski,
	}, ca.cert, leafKey.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	pattern, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	hash, known := hashes[pattern.SignatureAlgorithm]
	if !known {
		return nil, fmt.Errorf("no leaf is signed with %v", pattern.SignatureAlgorithm)
	}
	m := &mint{signer: ca.key, hash: hash, issuer: pattern.RawIssuer, publicKey: pattern.RawSubjectPublicKeyInfo}
	var tbs, algorithm, enclosed, extensions cryptobyte.String
	whole := cryptobyte.String(pattern.RawTBSCertificate)
	if !whole.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipASN1(versionTag) || !tbs.SkipASN1(asn1.INTEGER) ||
		!tbs.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) ||
		!tbs.ReadASN1(&enclosed, extensionsTag) || !enclosed.ReadASN1(&extensions, asn1.SEQUENCE) {
		return nil, errors.New("a leaf is not made as it was expected to be")
	}
	m.algorithm, m.extensions = algorithm, extensions
	return m, nil
}

// Tags of RFC 5280: of a TBSCertificate (section 4.1) and a GeneralName (section 4.2.1.6).
var (
	versionTag    = asn1.Tag(0).ContextSpecific().Constructed()
	extensionsTag = asn1.Tag(3).ContextSpecific().Constructed()
	dnsNameTag    = asn1.Tag(2).ContextSpecific()
	ipAddressTag  = asn1.Tag(7).ContextSpecific()
)

var (
	oidCommonName     = encoding_asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSubjectAltName = encoding_asn1.ObjectIdentifier{2, 5, 29, 17}
)

// sign returns the leaf of a canonical host, as DER.
func (m *mint) sign(host string, notBefore, notAfter time.Time) ([]byte, error) {
	// 16 octets, positive: RFC 5280 section 4.1.2.2 allows 20.
	var serial [16]byte
	if _, err := rand.Read(serial[:]); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40

	var tbs cryptobyte.Builder
	tbs.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(versionTag, func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // v3
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial[:]) })
		b.AddBytes(m.algorithm)
		b.AddBytes(m.issuer)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, notBefore)
			addTime(b, notAfter)
		})
		// A longer common name is not allowed; the SAN is critical then (section 4.1.2.6).
		named := len(host) <= 64
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if named {
				addCommonName(b, host)
			}
		})
		b.AddBytes(m.publicKey)
		b.AddASN1(extensionsTag, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(m.extensions)
				addSubjectAltName(b, host, !named)
			})
		})
	})
	message, err := tbs.Bytes()
	if err != nil {
		return nil, err
	}
	signature, err := crypto.SignMessage(m.signer, rand.Reader, message, m.hash)
	if err != nil {
		return nil, err
	}
	var leaf cryptobyte.Builder
	leaf.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(message)
		b.AddBytes(m.algorithm)
		b.AddASN1BitString(signature)
	})
	return leaf.Bytes()
}

// addTime adds a Time (RFC 5280 section 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

func addCommonName(b *cryptobyte.Builder, name string) {
	b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidCommonName)
			b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
		})
	})
}

func addSubjectAltName(b *cryptobyte.Builder, host string, critical bool) {
	tag, name := dnsNameTag, []byte(host)
	if addr, err := netip.ParseAddr(host); err == nil {
		tag, name = ipAddressTag, addr.AsSlice()
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSubjectAltName)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(name) })
			})
		})
	})
}
