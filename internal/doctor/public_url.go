package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/sesame-auth/sesame/internal/signing"
)

// checkPublicURL asks the public URL for its metadata and keys, and compares them with those of this
// deployment.
func checkPublicURL(ctx context.Context, e *examination) Finding {
	var leaf *x509.Certificate
	client := e.publicClient(func(state *tls.ConnectionState) { leaf = state.PeerCertificates[0] })
	defer client.CloseIdleConnections()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if problem := e.getJSON(ctx, client, "/.well-known/oauth-authorization-server", &metadata); problem != nil {
		return *problem
	}
	var set struct {
		Keys []struct {
			Kid string `json:"kid"`
		} `json:"keys"`
	}
	if problem := e.getJSON(ctx, client, "/.well-known/jwks.json", &set); problem != nil {
		return *problem
	}
	const remedy = "Set SESAME_PUBLIC_URL to the URL of this deployment, or let the proxy there forward to it."
	if metadata.Issuer != e.PublicURL {
		return fail(remedy, "%s is another deployment: its issuer is %q", e.PublicURL, metadata.Issuer)
	}
	if e.db != nil && !e.failed("schema") {
		keys, err := signing.List(ctx, e.db, e.SigningAlgorithm, e.Now())
		if err != nil {
			return fail("Repair the database, or try again.", "%s", err)
		}
		isOurs := func(kid string) bool {
			return slices.ContainsFunc(keys, func(k signing.KeyInfo) bool { return k.Kid == kid })
		}
		shared := false
		for _, key := range set.Keys {
			shared = shared || isOurs(key.Kid)
		}
		if !shared {
			return fail(remedy, "%s is another deployment: none of its %d signing keys is in this database",
				e.PublicURL, len(set.Keys))
		}
	}
	e.reached = true
	if leaf == nil {
		return ok("%s serves this deployment", e.PublicURL)
	}
	return judgeExpiry(leaf, e.Now(), "%s serves this deployment", e.PublicURL)
}

// publicClient returns a client for the public URL. It does not follow redirects, and calls
// connected after each TLS handshake.
func (e *examination) publicClient(connected func(*tls.ConnectionState)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{
				RootCAs: e.Roots, MinVersion: tls.VersionTLS12,
				VerifyConnection: func(state tls.ConnectionState) error { connected(&state); return nil },
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// getJSON gets a JSON document from the public URL, or returns what is wrong.
func (e *examination) getJSON(ctx context.Context, client *http.Client, path string, document any) *Finding {
	status, body, err := get(ctx, client, e.PublicURL+path, "")
	var problem Finding
	_, isInvalid := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isInvalid:
		problem = fail("Renew the certificate, or get one for this host, and let the proxy send the whole chain. If it is "+
			"from your own certificate authority, add that to those of the system.", "clients refuse the certificate: %s", err)
	case err != nil:
		problem = warn(fmt.Sprintf("Try it from another machine: curl %s%s. A server may not reach its own public name.",
			e.PublicURL, path), "not reachable from here: %s", err)
	case status != http.StatusOK && e.running == nil:
		problem = warn("Start the server. If it runs elsewhere, check that the proxy forwards to it.",
			"%s%s returns %d", e.PublicURL, path, status)
	case status != http.StatusOK:
		problem = fail("Let the proxy forward every path to SESAME_ADDR.", "%s%s returns %d, although a server is ready",
			e.PublicURL, path, status)
	case json.Unmarshal(body, document) != nil:
		problem = fail("Set SESAME_PUBLIC_URL to the URL of this deployment, or let the proxy there forward to it.",
			"%s%s is no JSON document", e.PublicURL, path)
	default:
		return nil
	}
	return &problem
}
