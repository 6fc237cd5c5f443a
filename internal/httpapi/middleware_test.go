package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// An operation ends when its time is over, also if the database does not respond: every wait has
// the context of the request.
func TestOperationsHaveADeadline(t *testing.T) {
	document, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	m := &middleware{
		validator: newValidator(document, nil), metrics: NewMetrics(),
		log: slog.New(slog.DiscardHandler),
	}
	router := echo.New()
	router.Pre(m.handle)
	router.POST("/auth", func(c echo.Context) error {
		deadline, found := c.Request().Context().Deadline()
		if left := time.Until(deadline); !found || left > 10*time.Second {
			t.Errorf("the operation may take %s (%v)", left, found)
		}
		return c.NoContent(http.StatusOK)
	})
	response := httptest.NewRecorder()
	router.ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/auth", nil))
	if response.Code != http.StatusOK {
		t.Errorf("status %d", response.Code)
	}
}

// A browser that has seen the header refuses plain HTTP for every server on the host, whatever its
// port. On localhost these are the other programs of a developer.
func TestStrictTransportSecurity(t *testing.T) {
	for publicURL, want := range map[string]bool{
		"https://auth.example.com": true, "https://auth.example.com/id": true, "https://127.0.0.1:8080": true,
		"http://127.0.0.1:8080": false, "http://localhost:8080": false, "https://localhost:8080": false,
	} {
		if got := commonHeaders(publicURL).Get("Strict-Transport-Security") != ""; got != want {
			t.Errorf("%s: %v", publicURL, got)
		}
	}
}
