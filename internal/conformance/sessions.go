package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sesame-auth/sesame/verify"
)

// tokens are the tokens of a session.
type tokens struct{ access, refresh string }

// logIn starts a session and uses it once, so that a cache in front of the server could store the
// response. A later check would notice that.
func (s *suite) logIn() tokens {
	t := s.tokensOf(s.expect(http.StatusOK, login(s.account.email, s.account.password)))
	s.expect(http.StatusOK, authenticate(t.access))
	return t
}

func (s *suite) tokensOf(r response) tokens {
	return tokens{access: r.text("accessToken"), refresh: r.text("refreshToken")}
}

func authenticate(access string) call {
	return call{method: http.MethodPost, path: "/auth", bearer: access}
}

func refresh(token string) call { return post("/auth/refresh-tokens", "refreshToken", token) }

func logout(token string) call { return post("/auth/logout", "refreshToken", token) }

// live requires that a session is valid, and returns its next tokens.
func (s *suite) live(t tokens) tokens {
	s.expect(http.StatusOK, authenticate(t.access))
	return s.tokensOf(s.expect(http.StatusOK, refresh(t.refresh)))
}

// requireEnded requires that both tokens of a session are refused.
func (s *suite) requireEnded(t tokens, what string) {
	r := s.send(authenticate(t.access))
	s.require(r.status == http.StatusUnauthorized, "the access token must be refused: %s", what)
	r = s.send(refresh(t.refresh))
	s.require(r.status == http.StatusUnauthorized, "the refresh token must be refused: %s", what)
}

// checkAccessTokens requires that an access token is accepted only if it is unchanged and in the
// header, and that services can verify it.
func checkAccessTokens(s *suite) {
	t := s.logIn()
	r := s.expect(http.StatusOK, authenticate(t.access))
	s.require(r.text("user", "email") == s.account.email, "the user must be the one who logged in")
	r = s.refuse(http.StatusUnauthorized, "invalid_access_token", authenticate(""))
	s.require(!strings.Contains(r.header.Get("WWW-Authenticate"), "error="),
		"the challenge must not contain an error if there is no token")
	dot := strings.LastIndex(t.access, ".") + 1
	head, signature := t.access[:dot], t.access[dot:]
	for _, wrong := range []string{"x", head, t.access + "A", head + strings.Repeat("A", len(signature)), t.refresh} {
		r = s.refuse(http.StatusUnauthorized, "invalid_access_token", authenticate(wrong))
		s.require(strings.Contains(r.header.Get("WWW-Authenticate"), `error="invalid_token"`),
			"the challenge must contain error=\"invalid_token\"")
	}
	inQuery := authenticate("")
	inQuery.path += "?access_token=" + t.access
	s.refuse(http.StatusUnauthorized, "invalid_access_token", inQuery)
	s.requireVerifiable(t.access)
}

// requireVerifiable requires that a service can verify a token with the published metadata and
// keys.
func (s *suite) requireVerifiable(access string) {
	issuer := s.expect(http.StatusOK, get("/.well-known/oauth-authorization-server")).text("issuer")
	var claims struct {
		Audience string `json:"aud"`
	}
	parts := strings.Split(access, ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // an invalid token has no audience
		_ = json.Unmarshal(payload, &claims)
	}
	s.expect(http.StatusOK, get("/.well-known/jwks.json")) // a breach shows this response
	if s.err != nil {
		return
	}
	keys := keysOf{url: s.target.URL + "/.well-known/jwks.json", base: s.target.Transport}
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

// checkRefresh requires that only the latest refresh token of a session is valid. During the grace
// period, the previous one returns the same new tokens. Otherwise, using an old token revokes the
// session.
func checkRefresh(s *suite) {
	first := s.logIn()
	second := s.tokensOf(s.expect(http.StatusOK, refresh(first.refresh)))
	s.require(second.refresh != first.refresh, "a refresh must return a new refresh token")
	again := s.send(refresh(first.refresh))
	if again.status == http.StatusUnauthorized {
		s.requireEnded(second, "a used refresh token was used again")
	} else {
		s.require(again.status == http.StatusOK && again.text("refreshToken") == second.refresh,
			"the same refresh token must return the same new one")
		third := s.live(second)
		s.expect(http.StatusOK, authenticate(third.access))
		s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(first.refresh))
		s.requireEnded(third, "an old refresh token was used again")
	}
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh("x"))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(second.access))
}

// checkLogout requires that a logout takes effect immediately, does not affect other sessions, and
// can be repeated.
func checkLogout(s *suite) {
	ended, other := s.logIn(), s.logIn()
	s.refuse(http.StatusBadRequest, "invalid_refresh_token", logout("x"))
	s.expect(http.StatusOK, logout(ended.refresh))
	s.requireEnded(ended, "the session was logged out")
	s.expect(http.StatusOK, logout(ended.refresh))
	s.live(other)
}
