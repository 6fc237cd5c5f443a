package token

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/verify"
)

// Services that use Echo can wrap the middleware of package verify. The test is here because the
// tests of that package import only the standard library.
func TestMiddlewareInEcho(t *testing.T) {
	access := newAccessTokens(t, signing.ES256)
	user := uuid.New()
	genuine, err := access.Issue(Access{User: user, Session: uuid.New(), AuthTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	router := echo.New()
	router.Use(echo.WrapMiddleware(verify.NewWithKeys(issuer, audience, access.config.Keys.PublicKey).Middleware))
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
