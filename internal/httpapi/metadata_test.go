package httpapi_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A framework that is told the issuer alone finds the keys, in both places, and is promised nothing else: a member
// more would be an endpoint or a grant that is not there.
func TestMetadata(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		want := map[string]any{
			"issuer": servertest.PublicURL, "jwks_uri": servertest.PublicURL + "/.well-known/jwks.json",
			"response_types_supported": []any{}, "grant_types_supported": []any{},
		}
		keys := s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
		for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "evil.example" // it is told from the configuration
			response := s.Send(t, request)
			if response.Status != http.StatusOK || !reflect.DeepEqual(response.Body, want) {
				t.Errorf("%s: %d %s", path, response.Status, response.Raw)
			}
			if got := response.Header.Get("Cache-Control"); got != keys.Header.Get("Cache-Control") {
				t.Errorf("%s may be kept by %q", path, got)
			}
			published, _ := response.Body["jwks_uri"].(string)
			if there := s.Do(t, http.MethodGet, strings.TrimPrefix(published, servertest.PublicURL), ""); there.Raw != keys.Raw {
				t.Errorf("%s: the keys are not at %s", path, published)
			}
		}
	})
}
