package httpapi_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// BenchmarkAuthenticate counts the allocations of POST /auth, without those of net/http. The
// benchmark of the same name in package bench measures the speed.
func BenchmarkAuthenticate(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			s := servertest.Start(b, engine, servertest.Options{})
			config := s.API
			config.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
			handler, err := httpapi.New(config)
			if err != nil {
				b.Fatal(err)
			}
			authorization := "Bearer " + s.Login(b, s.NewUser(b)).Access
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/auth", http.NoBody)
				request.Header.Set("Authorization", authorization)
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, request)
				if response.Code != http.StatusOK {
					b.Fatalf("%d %s", response.Code, response.Body)
				}
			}
		})
	}
}
