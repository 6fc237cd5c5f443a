// Package certtest issues certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// Authority is a certificate authority for one test.
type Authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	Pool        *x509.CertPool
}

// NewAuthority returns a new authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := a.sign(t, template)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.Pool.AddCert(a.certificate)
	return a
}

// Issue returns a certificate for a host name or IP address.
func (a *Authority) Issue(t testing.TB, host string, notAfter time.Time) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: notAfter}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = strings.Fields(host)
	}
	der, key := a.sign(t, template)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *Authority) sign(t testing.TB, template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// PEM returns the authority's certificate as a PEM file contains it.
func (a *Authority) PEM() []byte { return toPEM("CERTIFICATE", a.certificate.Raw) }

// IssuePEM is like Issue. It returns the certificate and its key as PEM files contain them.
func (a *Authority) IssuePEM(t testing.TB, host string, notAfter time.Time) (certificate, key string) {
	t.Helper()
	issued := a.Issue(t, host, notAfter)
	encoded, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(toPEM("CERTIFICATE", issued.Certificate[0])), string(toPEM("PRIVATE KEY", encoded))
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
