package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// anyJSON generates JSON values, some of them nested.
func anyJSON() *rapid.Generator[any] {
	interesting := []string{"", "null", "ada@example.com", servertest.Password, "\x00", "\u202e", "' OR 1=1 --"}
	scalar := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Int().AsAny(),
		rapid.Float64Range(-1e9, 1e9).AsAny(),
		rapid.String().AsAny(),
		rapid.SampledFrom(interesting).AsAny(),
	)
	return rapid.OneOf(
		scalar,
		rapid.SliceOfN(scalar, 0, 3).AsAny(),
		rapid.MapOfN(rapid.String(), scalar, 0, 3).AsAny(),
	)
}

// Every operation returns 400 for a body that the OpenAPI document does not allow: it never
// succeeds and never fails with 500. The client checks that the responses match the document.
func TestInvalidBodies(t *testing.T) {
	operations := map[string][]string{ // the required strings; the last one is never sent as a string
		"/auth/register":               {"name", "email", "confirm", "password"},
		"/auth/login":                  {"email", "password"},
		"/auth/logout":                 {"refreshToken"},
		"/auth/refresh-tokens":         {"refreshToken"},
		"/auth/forgot-password":        {"email"},
		"/auth/reset-password?token=x": {"password"},
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		live := s.Login(t, email)
		expectBadRequest := func(rt *rapid.T, path string, body []byte) {
			response := s.Do(t, http.MethodPost, path, string(body), "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest {
				rt.Fatalf("%s with %s: %d %s", path, body, response.Status, response.Raw)
			}
		}
		rapid.Check(t, func(rt *rapid.T) {
			for path, fields := range operations {
				body := make(map[string]any)
				for i, field := range fields {
					if !rapid.Bool().Draw(rt, "omit") {
						body[field] = anyJSON().Draw(rt, field)
					}
					if _, isString := body[field].(string); isString && i == len(fields)-1 {
						delete(body, field)
					}
				}
				text, err := json.Marshal(body)
				if err != nil {
					rt.Fatal(err)
				}
				expectBadRequest(rt, path, text)
				other := anyJSON().Draw(rt, "body")
				if _, isObject := other.(map[string]any); isObject {
					continue
				}
				if text, err = json.Marshal(other); err != nil {
					rt.Fatal(err)
				}
				expectBadRequest(rt, path, text)
			}
		})
		var users int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error; err != nil || users != 1 {
			t.Errorf("%d users, %v", users, err)
		}
		s.RequireActive(t, live)
	})
}
