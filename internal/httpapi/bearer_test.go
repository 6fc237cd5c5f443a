package httpapi_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Every operation of the document that requires a token returns 401 without one.
func TestOperationsRequireToken(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIJSON)
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for path, item := range document.Paths.Map() {
			for method, operation := range item.Operations() {
				if operation.Security == nil {
					t.Errorf("%s does not say whether it requires a token", operation.OperationID)
					continue
				}
				if len(*operation.Security) == 0 {
					continue
				}
				checked++
				path := regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, "x")
				response := s.Do(t, method, path, "{}", "Content-Type", asJSON)
				if response.Status != http.StatusUnauthorized || response.Code() != "invalid_access_token" {
					t.Errorf("%s without a token: %d %s", operation.OperationID, response.Status, response.Raw)
				}
			}
		}
		if checked == 0 {
			t.Error("no operation requires a token")
		}
	})
}
