package token

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/verify"
)

// Services that use Echo wrap the middleware of package verify, whose own tests need only the standard library.
func TestMiddlewareInEcho(t *testing.T) {
	ring, err := signing.Open(t.Context(), signing.Config{
		DB: databasetest.New(t, databasetest.SQLite), Secrets: []secret.Secret{secret.Secret(strings.Repeat("s", 32))},
		Algorithm: signing.ES256, TokenLifetime: 15 * time.Minute, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	const issuer, audience = "https://issuer.example", "https://audience.example"
	access := NewAccessTokens(AccessConfig{Keys: ring, Issuer: issuer, Audience: audience, Lifetime: 15 * time.Minute, Now: time.Now})
	user := uuid.New()
	genuine, err := access.Issue(user, uuid.New(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	router := echo.New()
	router.Use(echo.WrapMiddleware(verify.NewWithKeys(issuer, audience, ring.PublicKey).Middleware))
	router.GET("/", func(c echo.Context) error {
		claims, _ := verify.FromContext(c.Request().Context())
		return c.String(http.StatusOK, claims.Subject)
	})
	for token, want := range map[string]int{genuine: http.StatusOK, genuine + "A": http.StatusUnauthorized} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		response := httptest.NewRecorder()
		router.ServeHTTP(response, request)
		if response.Code != want || (response.Body.String() == user.String()) != (want == http.StatusOK) {
			t.Errorf("%d %s, want %d", response.Code, response.Body, want)
		}
	}
}
