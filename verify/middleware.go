package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// The challenges of RFC 6750, section 3. A request without a token gets no error code (section
// 3.1).
const (
	realm        = `Bearer realm="sesame"`
	invalidToken = realm + `, error="invalid_token"`
	retryAfter   = 2 // seconds, until the keys may be fetched again
)

type claimsKey struct{}

// FromContext returns the claims that Middleware added to the context of a request. It returns
// false if there are none.
func FromContext(ctx context.Context) (Claims, bool) {
	claims, ok := ctx.Value(claimsKey{}).(Claims)
	return claims, ok
}

// Middleware passes requests with a valid access token to next, which gets the claims from
// FromContext.
//
// The token must be in the Authorization header, and there must be only one such header (RFC 6750,
// section 2.1). A request without a valid token gets a 401 with a challenge. If the token cannot be
// verified at the moment, because the keys cannot be fetched, the request gets a 503 with
// Retry-After. Both responses have a problem document (RFC 9457).
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
		case errors.Is(err, ErrKeysUnavailable):
			v.refuse(w, http.StatusServiceUnavailable, "Retry-After", strconv.Itoa(retryAfter))
		case err != nil:
			v.refuse(w, http.StatusUnauthorized, "WWW-Authenticate", invalidToken)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
		}
	})
}

// problem is a problem document like that of the server, with a link to the server's page about it.
// It has no instance, because the middleware does not know the request ids of the service.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (v *Verifier) refuse(w http.ResponseWriter, status int, header, value string) {
	document := problem{
		Type: v.issuer + "/problems/invalid_access_token", Title: "Invalid access token", Status: status,
		Detail: "The access token is missing, malformed or expired, or not for this service.", Code: "invalid_access_token",
	}
	if status == http.StatusServiceUnavailable {
		document = problem{
			Type: "about:blank", Title: http.StatusText(status), Status: status,
			Detail: "The access token cannot be verified at the moment. Try again shortly.", Code: "unavailable",
		}
	}
	write(w, header, value, document)
}

// write sends a problem document and one more header.
func write(w http.ResponseWriter, header, value string, document problem) {
	w.Header().Set(header, value)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(document.Status)
	_ = json.NewEncoder(w).Encode(document) // the client may have disconnected
}
