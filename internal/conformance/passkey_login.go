package conformance

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

var startPasskeyLoginChecks = []check{
	{operation: "startPasskeyLogin", name: "success", run: checkPasskeyLoginOptions},
}

var finishPasskeyLoginChecks = []check{
	{operation: "finishPasskeyLogin", name: "success", run: checkPasskeyLogin},
	{operation: "finishPasskeyLogin", name: "passkeys that are not accepted", run: checkPasskeyLoginRefuses},
}

func passkeyLogin(credential map[string]any) call {
	return post("/auth/login/passkey", "credential", credential)
}

// passkeyLoginOptions returns the options for a login.
func (s *suite) passkeyLoginOptions() response {
	return s.expect(http.StatusOK, call{method: http.MethodPost, path: "/auth/login/passkey/options"})
}

// refusePasskey requires that a login with this answer is refused.
func (s *suite) refusePasskey(credential map[string]any) response {
	return s.refuse(http.StatusUnauthorized, "invalid_passkey", passkeyLogin(credential))
}

// passkeyOrigin returns the origin of the pages on which the run uses passkeys. By default it is
// that of the public URL. Browsers allow no IP addresses, so a server whose public URL has one uses
// localhost.
func (s *suite) passkeyOrigin(rpID string) string {
	if s.target.PasskeyOrigin != "" {
		return s.target.PasskeyOrigin
	}
	issuer, err := url.Parse(s.expect(http.StatusOK, get(metadataPath)).text("issuer"))
	if err != nil || s.err != nil {
		s.skip("the issuer is not a URL")
		return ""
	}
	host := issuer.Hostname()
	if net.ParseIP(host) != nil {
		host = "localhost"
		port := issuer.Port()
		if issuer.Host = host; port != "" {
			issuer.Host += ":" + port
		}
	}
	origin := issuer.Scheme + "://" + issuer.Host
	if host = strings.ToLower(host); host != rpID && !strings.HasSuffix(host, "."+rpID) {
		s.skip("pages of %s cannot use passkeys of %s: name another origin with --passkey-origin", origin, rpID)
	}
	return origin
}

// checkPasskeyLoginOptions requires that the options do not depend on an account, and that the
// authenticator has to check the user.
func checkPasskeyLoginOptions(s *suite) {
	r := s.passkeyLoginOptions()
	s.require(r.text("userVerification") == "required", "userVerification must be required")
	allowed, _ := r.body["allowCredentials"].([]any)
	s.require(len(allowed) == 0, "allowCredentials must be empty")
	s.requireChallenges(r, s.passkeyLoginOptions())
}

// checkPasskeyLogin requires that a passkey proves two factors, and that its answer works once.
func checkPasskeyLogin(s *suite) {
	answer := s.passkey().sign(s.passkeyLoginOptions())
	t := tokensOf(s.expect(http.StatusOK, passkeyLogin(answer)))
	s.requireMethods(t, twoFactors, "pop", "user", "mfa")
	r := s.expect(http.StatusOK, authenticate(t.access))
	s.require(r.text("user", "email") == s.account.email, "the user must be the owner of the passkey")
	s.requireMethods(s.refreshed(t), twoFactors, "pop", "user", "mfa")
	s.refusePasskey(answer)
}

// checkPasskeyLoginRefuses requires that every answer that is not accepted returns the same
// response.
func checkPasskeyLoginRefuses(s *suite) {
	right := s.passkey()
	otherPage, unverified, otherKey := *right, *right, *right
	otherPage.origin = otherOrigin()
	unverified.unverified = true
	unknown := newAuthenticator(right.origin)
	otherKey.key, unknown.user = unknown.key, right.user
	first := s.refusePasskey(unknown.sign(s.passkeyLoginOptions()))
	for _, device := range []*authenticator{&otherPage, &unverified, &otherKey} {
		r := s.refusePasskey(device.sign(s.passkeyLoginOptions()))
		s.require(alike(r, first), "an unknown passkey and a wrong answer must return the same response")
	}
	options := s.passkeyLoginOptions()
	made := response{body: map[string]any{"challenge": unknownChallenge, "rpId": options.text("rpId")}}
	s.refusePasskey(right.sign(made))
}

// unknownChallenge is a challenge that no server has made.
var unknownChallenge = base64url.EncodeToString(make([]byte, 32))
