package verify

import (
	"fmt"
	"net/http"
	"time"
)

// levels orders the values of the claim acr.
var levels = map[string]int{"aal1": 1, "aal2": 2}

// RequireRecent returns middleware that passes a request on only if the user proved the identity
// less than maxAge ago, by a login or by reauthenticate. Use it for operations that a stolen access
// token must not be enough for. A refreshed token does not become more recent.
//
// Other requests get a 401 with the challenge of RFC 9470, whose max_age is maxAge in whole
// seconds. The client should ask the user for the password, call reauthenticate of the server, and
// send the request again with the new access token. The clients of Sesame do this.
//
// The middleware must be inside of [Verifier.Middleware], which adds the claims to the context:
//
//	mux.Handle("POST /transfers", verifier.Middleware(verifier.RequireRecent(10*time.Minute)(transfers)))
//
// Without Verifier.Middleware, which is a programming error, every request gets a 401 like one
// without a token. An auth_time more than a minute in the future is not recent. RequireRecent
// panics if maxAge is less than a second.
func (v *Verifier) RequireRecent(maxAge time.Duration) func(http.Handler) http.Handler {
	if maxAge < time.Second {
		panic("verify: maxAge must be at least a second")
	}
	isRecent := func(claims Claims) bool {
		age := v.now().Sub(claims.AuthTime)
		return age < maxAge && age >= -maxAhead
	}
	return v.require(isRecent, fmt.Sprintf(`max_age="%d"`, maxAge/time.Second))
}

// RequireACR returns middleware that passes a request on only if the claim acr is at least acr,
// which is "aal1" (one factor) or "aal2" (two factors). RequireACR("aal2") thus refuses users who
// logged in with only a password. It panics if acr has another value.
//
// Other requests get a 401 with the challenge of RFC 9470, whose acr_values is acr. A user without
// a second factor must add one first.
//
// The middleware must be inside of [Verifier.Middleware]. Without it, which is a programming error,
// every request gets a 401 like one without a token.
func (v *Verifier) RequireACR(acr string) func(http.Handler) http.Handler {
	required, ok := levels[acr]
	if !ok {
		panic(fmt.Sprintf("verify: acr must be aal1 or aal2, not %q", acr))
	}
	isEnough := func(claims Claims) bool { return levels[claims.ACR] >= required }
	return v.require(isEnough, fmt.Sprintf(`acr_values="%s"`, acr))
}

// require returns middleware that passes a request on if its claims satisfy isEnough. Other
// requests get a challenge with the parameter.
func (v *Verifier) require(isEnough func(Claims) bool, parameter string) func(http.Handler) http.Handler {
	challenge := realm + `, error="insufficient_user_authentication", ` + parameter
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, ok := FromContext(r.Context())
			switch {
			case !ok:
				v.refuse(w, http.StatusUnauthorized, "WWW-Authenticate", realm)
			case !isEnough(claims):
				write(w, "WWW-Authenticate", challenge, problem{
					Type:  v.issuer + "/problems/insufficient_user_authentication",
					Title: "Recent login required", Status: http.StatusUnauthorized,
					Detail: "Confirm that it is you, then try again.", Code: "insufficient_user_authentication",
				})
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}
