package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"
)

// checkCertificate checks the files of the API's own certificate.
func checkCertificate(_ context.Context, e *examination) Finding {
	pair, err := tls.LoadX509KeyPair(e.TLSCert, e.TLSKey)
	if err != nil {
		return fail("Name the PEM files of a certificate and of its key, which the user of the server can read.", "%s", err)
	}
	public, err := url.Parse(e.PublicURL)
	if err != nil {
		return skip("the public URL is not valid: %s", err)
	}
	if err := pair.Leaf.VerifyHostname(public.Hostname()); err != nil {
		return fail("Get a certificate for the host of the public URL.", "%s: %s", e.TLSCert, err)
	}
	return judgeExpiry(pair.Leaf, e.Now(), "%s is valid for %s", e.TLSCert, public.Hostname())
}

// judgeExpiry judges when a certificate expires. Usually certificates are renewed when a third of
// their lifetime is left, or earlier.
func judgeExpiry(certificate *x509.Certificate, now time.Time, format string, args ...any) Finding {
	const remedy = "Renew the certificate, and find out why it was not renewed automatically."
	left := certificate.NotAfter.Sub(now)
	lifetime := certificate.NotAfter.Sub(certificate.NotBefore)
	detail := fmt.Sprintf(format, args...)
	switch expires := certificate.NotAfter.UTC().Format(time.RFC3339); {
	case left <= 0:
		return fail(remedy, "%s, but the certificate has expired, on %s", detail, expires)
	case now.Before(certificate.NotBefore):
		return fail("Set the clock right, or wait.", "%s, but the certificate is valid only from %s",
			detail, certificate.NotBefore.UTC().Format(time.RFC3339))
	case left < min(14*24*time.Hour, lifetime/4):
		return warn(remedy, "%s, but the certificate expires in %d days, on %s", detail, days(left), expires)
	default:
		return ok("%s; the certificate expires in %d days", detail, days(left))
	}
}
