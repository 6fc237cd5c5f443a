package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// The challenges of RFC 6750, section 3: without a code where no token was sent, as section 3.1 asks for.
const (
	realm        = `Bearer realm="sesame"`
	invalidToken = realm + `, error="invalid_token"`
	retryAfter   = 2 // seconds: by then the keys are asked for again
)

type claimsKey struct{}

// FromContext is the claims of the token that Middleware let through; false where it did not.
func FromContext(ctx context.Context) (Claims, bool) {
	claims, is := ctx.Value(claimsKey{}).(Claims)
	return claims, is
}

// Middleware lets requests with a valid token through to next, which finds the claims by FromContext. The token is in
// the one Authorization header (RFC 6750, section 2.1) and nowhere else. Others are answered with a problem document
// (RFC 9457): 401 with a challenge, or 503 with Retry-After when the token cannot be judged.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Values("Authorization")
		if len(authorization) == 0 {
			v.refuse(w, http.StatusUnauthorized, "WWW-Authenticate", realm)
			return
		}
		scheme, token, _ := strings.Cut(authorization[0], " ")
		if len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer") {
			v.refuse(w, http.StatusUnauthorized, "WWW-Authenticate", invalidToken)
			return
		}
		claims, err := v.Verify(r.Context(), strings.Trim(token, " "))
		switch {
		case errors.Is(err, ErrKeys):
			v.refuse(w, http.StatusServiceUnavailable, "Retry-After", strconv.Itoa(retryAfter))
		case err != nil:
			v.refuse(w, http.StatusUnauthorized, "WWW-Authenticate", invalidToken)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
		}
	})
}

// problem is what Sesame itself answers, with the issuer's page about it; instance would be the service's to give.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (v *Verifier) refuse(w http.ResponseWriter, status int, header, value string) {
	document := problem{
		Type: v.issuer + "/problems/invalid_access_token", Title: "Access token not accepted", Status: status,
		Detail: "The access token is missing, malformed, expired, or not for this service.", Code: "invalid_access_token",
	}
	if status == http.StatusServiceUnavailable {
		document = problem{
			Type: "about:blank", Title: http.StatusText(status), Status: status,
			Detail: "The access token cannot be verified at the moment. Try again shortly.", Code: "unavailable",
		}
	}
	w.Header().Set(header, value)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // who is gone hears no more
}
