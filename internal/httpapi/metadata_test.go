package httpapi_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A framework that knows only the issuer finds the keys in the metadata, at both paths. The
// metadata contains no endpoint or grant type that does not exist.
func TestMetadata(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		want := map[string]any{
			"issuer":                   servertest.PublicURL,
			"jwks_uri":                 servertest.PublicURL + "/.well-known/jwks.json",
			"response_types_supported": []any{},
			"grant_types_supported":    []any{},

			"id_token_signing_alg_values_supported": []any{"ES256", "EdDSA"},
		}
		keys := s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
		for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "evil.example" // not used: the issuer is configured
			response := s.Send(t, request)
			if response.Status != http.StatusOK || !reflect.DeepEqual(response.Body, want) {
				t.Errorf("%s: %d %s", path, response.Status, response.Raw)
			}
			if got := response.Header.Get("Cache-Control"); got != keys.Header.Get("Cache-Control") {
				t.Errorf("%s: Cache-Control is %q", path, got)
			}
			published, _ := response.Body["jwks_uri"].(string)
			found := s.Do(t, http.MethodGet, strings.TrimPrefix(published, servertest.PublicURL), "")
			if found.Raw != keys.Raw {
				t.Errorf("%s: the keys are not at %s", path, published)
			}
		}
	})
}
