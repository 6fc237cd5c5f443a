// Package clienttest tests package client with a real server.
//
// These tests are not in package client because go mod tidy also resolves the imports of the tests
// of imported packages: every user of the client would get the dependencies of the server.
package clienttest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

func TestAllOperations(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := servertest.Start(t, engine, servertest.Options{})
		store := &client.MemoryStore{}
		session, err := client.New(client.Config{Server: server.URL, Store: store, Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		bio := "Wrote the first program"
		user, err := session.Register(ctx, client.RegisterInput{
			Name:     "Ada",
			Bio:      nullable.NewNullableWithValue(bio),
			Email:    "Ada@example.com",
			Password: servertest.Password,
			Confirm:  servertest.Password,
		})
		if err != nil || user.Email != "ada@example.com" || user.Bio.MustGet() != bio {
			t.Fatalf("registered: %+v, %v", user, err)
		}
		_, err = session.Authenticate(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if err := session.Login(ctx, "ada@example.com", servertest.Password); err != nil {
			t.Fatal(err)
		}
		if user, err := session.Authenticate(ctx); err != nil || user.Name != "Ada" {
			t.Errorf("Authenticate: %+v, %v", user, err)
		}

		if err := session.ForgotPassword(ctx, "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		const newPassword = "an even better horse"
		token := server.ResetToken(t, server.NextEmail(t))
		if err := session.ResetPassword(ctx, token, newPassword); err != nil {
			t.Fatal(err)
		}
		err = session.ResetPassword(ctx, token, newPassword)
		isProblem(t, err, http.StatusUnauthorized, "invalid_link")
		_, err = session.Authenticate(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if tokens, _ := store.Load(ctx); tokens != (client.Tokens{}) {
			t.Error("the tokens are still stored after the reset revoked the session")
		}

		err = session.Login(ctx, "ada@example.com", servertest.Password)
		isProblem(t, err, http.StatusUnauthorized, "invalid_credentials")
		if err := session.Login(ctx, "ada@example.com", newPassword); err != nil {
			t.Fatal(err)
		}
		tokens, err := store.Load(ctx)
		left := time.Until(tokens.RefreshAt)
		if err != nil || left > 15*time.Minute*9/10 || left < 13*time.Minute {
			t.Errorf("the next refresh is in %v, want nine tenths of 15m; %v", left, err)
		}
		if err := session.Logout(ctx); err != nil {
			t.Fatal(err)
		}
		server.RequireEnded(t, servertest.Tokens{Access: tokens.AccessToken, Refresh: tokens.RefreshToken})
		if tokens, _ := store.Load(ctx); tokens != (client.Tokens{}) {
			t.Error("the tokens are still stored after the logout")
		}
		if err := session.Logout(ctx); err != nil {
			t.Errorf("second logout: %v", err)
		}
	})
}

// If the server is unavailable, Logout keeps the tokens, so that it can be called again. A refresh
// token that the server does not know is deleted.
func TestFailedLogout(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.change(t, func(tokens *client.Tokens) { tokens.RefreshToken = "of another server" })
		if err := s.Logout(t.Context()); err != nil || s.tokens(t) != (client.Tokens{}) {
			t.Errorf("logout with an unknown token: %v, left: %v", err, s.tokens(t))
		}
		if err := s.Login(t.Context(), s.email, servertest.Password); err != nil {
			t.Fatal(err)
		}
		before := s.tokens(t)
		s.server.CloseDatabase(t)
		isProblem(t, s.Logout(t.Context()), http.StatusServiceUnavailable, "unavailable")
		if s.tokens(t) != before {
			t.Error("the tokens were deleted, but the session is not revoked")
		}
	})
}

// Each operation returns the problems of a real server.
func TestServerProblems(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := servertest.Start(t, engine, servertest.Options{Throttle: true})
		session, err := client.New(client.Config{Server: server.URL, Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		ada := client.RegisterInput{
			Name:     "Ada",
			Email:    "ada@example.com",
			Password: servertest.Password,
			Confirm:  servertest.Password,
		}
		if _, err := session.Register(ctx, ada); err != nil {
			t.Fatal(err)
		}
		_, err = session.Register(ctx, ada)
		isProblem(t, err, http.StatusBadRequest, "email_taken")
		invalid := client.RegisterInput{Name: "Ada", Email: "nobody", Password: servertest.Password}
		_, err = session.Register(ctx, invalid)
		p := isProblem(t, err, http.StatusBadRequest, "validation_failed")
		if len(p.Errors) != 2 || !strings.HasPrefix(p.Instance, "urn:uuid:") {
			t.Errorf("%+v", p)
		}
		for _, e := range p.Errors {
			if e.Pointer == nil || e.Detail == "" || e.Code == "" {
				t.Errorf("validation error: %+v", e)
			}
		}
		weak := client.RegisterInput{Name: "Eve", Email: "eve@example.com", Password: "password1", Confirm: "password1"}
		_, err = session.Register(ctx, weak)
		p = isProblem(t, err, http.StatusBadRequest, "weak_password")
		if p.Detail == "" || !strings.Contains(p.Error(), p.Detail) {
			t.Errorf("%v", p)
		}
		_, err = session.Register(ctx, client.RegisterInput{Name: "NUL\x00"})
		isProblem(t, err, http.StatusBadRequest, "malformed_body")
		_, err = session.Register(ctx, client.RegisterInput{Name: strings.Repeat("a", 17<<10)})
		isProblem(t, err, http.StatusRequestEntityTooLarge, "content_too_large")
		for range 10 {
			err := session.Login(ctx, "ada@example.com", "wrong")
			isProblem(t, err, http.StatusUnauthorized, "invalid_credentials")
		}
		err = session.Login(ctx, "ada@example.com", "wrong")
		p = isProblem(t, err, http.StatusTooManyRequests, "too_many_requests")
		if p.RetryAfter < time.Second {
			t.Errorf("retry after %v", p.RetryAfter)
		}
		wrongURL, err := client.New(client.Config{Server: server.URL + "/nowhere", Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		isProblem(t, wrongURL.ForgotPassword(ctx, "ada@example.com"), http.StatusNotFound, "not_found")
	})
}

// A Problem has the code of the response, even if this client does not know it. If the response is
// not a problem document, the Problem has no code.
func TestProblemCodes(t *testing.T) {
	type response struct{ media, body, code string }
	const unknown = `{"code":"added_tomorrow","status":200,"detail":"D.","reason":"new",` +
		`"errors":[{"pointer":"/x","code":"new_too","detail":"D."}]}`
	responses := []response{
		{"text/html", "<h1>Bad gateway</h1>", ""},
		{"application/json", `{"code":"unavailable"}`, ""},
		{"application/problem+json", `{`, ""},
		{"application/problem+json", unknown, "added_tomorrow"},
	}
	for _, code := range servertest.Document().ProblemCodes() {
		document := `{"code":"` + code + `","status":200,"detail":"D."}`
		responses = append(responses, response{"application/problem+json; charset=utf-8", document, code})
	}
	for _, response := range responses {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", response.media)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(response.body))
		}))
		session, err := client.New(client.Config{Server: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		p := isProblem(t, session.Login(t.Context(), "ada@example.com", "a"), http.StatusBadGateway, response.code)
		isDetailed := response.code == "" || p.Detail == "D."
		if p.RetryAfter != 7*time.Second || !isDetailed || !strings.Contains(p.Error(), "sesame: ") {
			t.Errorf("%+v", p)
		}
		server.Close()
	}
}

// The URLs of the server and of services must be https, except for a loopback address, as in
// package verify.
func TestURLs(t *testing.T) {
	const (
		noURL   = "must be a URL, such as https://auth.example.com"
		noHTTPS = "must be https, except for a loopback address"
	)
	for url, want := range map[string]string{
		"https://auth.example.com":           "",
		"https://auth.example.com/":          "",
		"https://example.com/auth":           "",
		"http://127.0.0.1:8080":              "",
		"http://[::1]:8080":                  "",
		"http://localhost:8080":              "",
		"":                                   noURL,
		"*":                                  noURL,
		"auth.example.com":                   noURL,
		"https://":                           noURL,
		"http://[::1":                        noURL,
		"https://auth.example.com?a=b":       noURL,
		"https://auth.example.com#a":         noURL,
		"https://ada:x@auth.example.com":     noURL,
		"http://auth.example.com":            noHTTPS,
		"http://auth.example.com:443":        noHTTPS,
		"http://10.0.0.1":                    noHTTPS,
		"http://127.0.0.1.example.com":       noHTTPS,
		"http://localhost.example.com":       noHTTPS,
		"ftp://auth.example.com":             noHTTPS,
		"ftp://127.0.0.1":                    noHTTPS,
		"javascript://auth.example.com/%0aa": noHTTPS,
	} {
		for _, config := range []client.Config{
			{Server: url},
			{Server: "https://auth.example.com", Origins: []string{"https://api.example.com", url}},
		} {
			_, err := client.New(config)
			if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", config, err, want)
			}
		}
	}
}
