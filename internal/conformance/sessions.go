package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sesame-auth/sesame/verify"
)

// tokens are a session's.
type tokens struct{ access, refresh string }

// logIn opens a session of the suite's account, and uses it: what a cache keeps of it must not outlive it.
func (s *suite) logIn() tokens {
	t := s.tokensOf(s.expect(http.StatusOK, login(s.account.email, s.account.password)))
	s.expect(http.StatusOK, authenticate(t.access))
	return t
}

func (s *suite) tokensOf(a answer) tokens {
	return tokens{access: a.text("accessToken"), refresh: a.text("refreshToken")}
}

func authenticate(access string) call {
	return call{method: http.MethodPost, path: "/auth", bearer: access}
}

func refresh(token string) call { return post("/auth/refresh-tokens", "refreshToken", token) }

func logout(token string) call { return post("/auth/logout", "refreshToken", token) }

// live holds that a session goes on, and returns its next tokens.
func (s *suite) live(t tokens) tokens {
	s.expect(http.StatusOK, authenticate(t.access))
	return s.tokensOf(s.expect(http.StatusOK, refresh(t.refresh)))
}

// over holds that neither token of a session opens anything any more.
func (s *suite) over(t tokens, what string) {
	a := s.send(authenticate(t.access))
	s.hold(a.status == http.StatusUnauthorized, "%s must be over for its access token", what)
	a = s.send(refresh(t.refresh))
	s.hold(a.status == http.StatusUnauthorized, "%s must be over for its refresh token", what)
}

// A token is taken from the header, whole, and from nowhere else; services can verify it by the published keys.
func checkAccessTokens(s *suite) {
	t := s.logIn()
	a := s.expect(http.StatusOK, authenticate(t.access))
	s.hold(a.text("user", "email") == s.account.email, "the user must be the one who logged in")
	a = s.refuse(http.StatusUnauthorized, "invalid_access_token", authenticate(""))
	s.hold(!strings.Contains(a.header.Get("WWW-Authenticate"), "error="), "without a token there is no fault to tell in the challenge")
	dot := strings.LastIndex(t.access, ".") + 1
	head, signature := t.access[:dot], t.access[dot:]
	for _, wrong := range []string{"x", head, t.access + "A", head + strings.Repeat("A", len(signature)), t.refresh} {
		a = s.refuse(http.StatusUnauthorized, "invalid_access_token", authenticate(wrong))
		s.hold(strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`), "the challenge must say that the token is at fault")
	}
	elsewhere := authenticate("")
	elsewhere.path += "?access_token=" + t.access
	s.refuse(http.StatusUnauthorized, "invalid_access_token", elsewhere)
	s.verifies(t.access)
}

// verifies holds that a service accepts a token which knows the deployment by its metadata and keys alone.
func (s *suite) verifies(access string) {
	issuer := s.expect(http.StatusOK, get("/.well-known/oauth-authorization-server")).text("issuer")
	var said struct {
		Audience string `json:"aud"`
	}
	parts := strings.Split(access, ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // what is none has no audience
		_ = json.Unmarshal(payload, &said)
	}
	s.expect(http.StatusOK, get("/.well-known/jwks.json")) // which a breach then shows
	if s.err != nil {
		return
	}
	keys := keysOf{url: s.target.URL + "/.well-known/jwks.json", base: s.target.Transport}
	verifier, err := verify.New(issuer, said.Audience, verify.WithTransport(keys), verify.WithClock(s.now))
	if err == nil {
		_, err = verifier.Verify(s.ctx, access)
	}
	if err != nil {
		s.hold(false, "a service must be able to verify the access token: %v", err)
	}
}

// keysOf fetches the keys of an issuer from where the deployment is reached.
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

// One refresh token of a session is live. The one before it answers the same successor again for a short while, or,
// where that is switched off, is taken for a theft; an older one is a theft, and ends the session for both.
func checkRefresh(s *suite) {
	first := s.logIn()
	second := s.tokensOf(s.expect(http.StatusOK, refresh(first.refresh)))
	s.hold(second.refresh != first.refresh, "a refresh must bring another refresh token")
	again := s.send(refresh(first.refresh))
	if again.status == http.StatusUnauthorized {
		s.over(second, "a session whose refresh token came back")
	} else {
		s.hold(again.status == http.StatusOK && again.text("refreshToken") == second.refresh, "the same refresh token must have one successor")
		third := s.live(second)
		s.expect(http.StatusOK, authenticate(third.access))
		s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(first.refresh))
		s.over(third, "a session of which an older refresh token came back")
	}
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh("x"))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(second.access))
}

// A logout is felt on the next call, by this session and no other, and can be repeated.
func checkLogout(s *suite) {
	ended, other := s.logIn(), s.logIn()
	s.refuse(http.StatusBadRequest, "invalid_refresh_token", logout("x"))
	s.expect(http.StatusOK, logout(ended.refresh))
	s.over(ended, "a session that was logged out")
	s.expect(http.StatusOK, logout(ended.refresh))
	s.live(other)
}
