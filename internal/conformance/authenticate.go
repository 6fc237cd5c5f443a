package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sesame-auth/sesame/verify"
)

var authenticateChecks = []check{
	{operation: "authenticate", name: "success", run: checkAuthenticate},
	{operation: "authenticate", name: "verification by a service", run: checkVerifiable},
}

func authenticate(access string) call {
	return call{method: http.MethodPost, path: "/auth", bearer: access}
}

func checkAuthenticate(s *suite) {
	r := s.expect(http.StatusOK, authenticate(s.logIn().access))
	s.require(r.text("user", "email") == s.account.email, "the user must be the one who logged in")
}

// used returns the tokens after it has used the access token, so that a cache in front of the server
// could store the response. requireAccessEnded would notice that.
func (s *suite) used(t tokens) tokens {
	s.expect(http.StatusOK, authenticate(t.access))
	return t
}

func (s *suite) requireAccessEnded(t tokens, what string) {
	r := s.send(authenticate(t.access))
	s.require(r.status == http.StatusUnauthorized, "the access token must be refused: %s", what)
}

// checkVerifiable requires that a service can verify an access token with the published metadata
// and keys.
func checkVerifiable(s *suite) {
	access := s.logIn().access
	issuer := s.expect(http.StatusOK, get(metadataPath)).text("issuer")
	var claims struct {
		Audience string `json:"aud"`
	}
	parts := strings.Split(access, ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // an invalid token has no audience
		_ = json.Unmarshal(payload, &claims)
	}
	s.expect(http.StatusOK, get(jwksPath)) // a breach shows this response
	if s.err != nil {
		return
	}
	keys := keysOf{url: s.target.URL + jwksPath, base: s.target.Transport}
	verifier, err := verify.New(issuer, claims.Audience, verify.WithTransport(keys), verify.WithClock(s.now))
	if err == nil {
		_, err = verifier.Verify(s.ctx, access)
	}
	if err != nil {
		s.require(false, "a service must be able to verify the access token: %v", err)
	}
}

// keysOf is a transport that fetches the keys of the deployment from url, whatever the URL of the
// issuer.
type keysOf struct {
	url  string
	base http.RoundTripper
}

func (k keysOf) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, k.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if k.base == nil {
		return http.DefaultTransport.RoundTrip(request)
	}
	return k.base.RoundTrip(request)
}
