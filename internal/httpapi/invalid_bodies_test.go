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

// anyJSON is whatever JSON can be, some levels deep.
func anyJSON() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.String().AsAny(),
		rapid.SampledFrom([]string{"", "null", "ada@example.com", servertest.Password, "\x00", "\u202e", "' OR 1=1 --"}).AsAny())
	return rapid.OneOf(scalar, rapid.SliceOfN(scalar, 0, 3).AsAny(), rapid.MapOfN(rapid.String(), scalar, 0, 3).AsAny())
}

// Of any bodies but those of the contract, none is accepted and none is a fault of the server: every operation
// responses that they are malformed, or that they name nobody. That the response is the contract's, the client checks.
func TestInvalidBodies(t *testing.T) {
	operations := map[string][]string{ // each with its required strings, the last of which is never one
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
		rapid.Check(t, func(rt *rapid.T) {
			for path, fields := range operations {
				body := make(map[string]any)
				for i, field := range fields {
					if !rapid.Bool().Draw(rt, "left out") {
						body[field] = anyJSON().Draw(rt, field)
					}
					if _, text := body[field].(string); text && i == len(fields)-1 {
						delete(body, field)
					}
				}
				text, err := json.Marshal(body)
				if err != nil {
					rt.Fatal(err)
				}
				if response := s.Do(t, http.MethodPost, path, string(text), "Content-Type", asJSON); response.Status != http.StatusBadRequest {
					rt.Fatalf("%s with %s: %d %s", path, text, response.Status, response.Raw)
				}
				whole := anyJSON().Draw(rt, "a whole body")
				if _, object := whole.(map[string]any); object {
					continue
				}
				if text, err = json.Marshal(whole); err != nil {
					rt.Fatal(err)
				}
				if response := s.Do(t, http.MethodPost, path, string(text), "Content-Type", asJSON); response.Status != http.StatusBadRequest {
					rt.Fatalf("%s with %s: %d %s", path, text, response.Status, response.Raw)
				}
			}
		})
		var users int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error; err != nil || users != 1 {
			t.Errorf("%d users, %v", users, err)
		}
		s.ExpectLive(t, live)
	})
}
