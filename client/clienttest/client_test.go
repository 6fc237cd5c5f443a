// Package clienttest tests package client with a real server.
//
// These tests are not in package client, because go mod tidy also resolves the tests of the packages
// that a module imports: every user of the client would get the dependencies of the server.
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

func TestTheWholeLife(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := servertest.Start(t, engine, servertest.Options{})
		store := &client.Memory{}
		session, err := client.New(client.Config{Server: server.URL, Store: store, Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		bio := "Wrote the first program"
		user, err := session.Register(ctx, client.RegisterInput{Name: "Ada", Bio: nullable.NewNullableWithValue(bio), Email: "Ada@example.com", Password: servertest.Password, Confirm: servertest.Password})
		if err != nil || user.Email != "ada@example.com" || user.Bio.MustGet() != bio {
			t.Fatalf("registered: %+v, %v", user, err)
		}
		_, err = session.Authenticate(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if err := session.Login(ctx, "ada@example.com", servertest.Password); err != nil {
			t.Fatal(err)
		}
		if user, err := session.Authenticate(ctx); err != nil || user.Name != "Ada" {
			t.Errorf("the session of %+v, %v", user, err)
		}

		if err := session.ForgotPassword(ctx, "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		token := server.ResetToken(t, server.NextEmail(t))
		if err := session.ResetPassword(ctx, token, "an even better horse"); err != nil {
			t.Fatal(err)
		}
		isProblem(t, session.ResetPassword(ctx, token, "an even better horse"), http.StatusUnauthorized, "invalid_reset_token")
		_, err = session.Authenticate(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if tokens, _ := store.Load(ctx); tokens != (client.Tokens{}) {
			t.Error("the tokens of a session that a reset ended are kept")
		}

		isProblem(t, session.Login(ctx, "ada@example.com", servertest.Password), http.StatusUnauthorized, "invalid_credentials")
		if err := session.Login(ctx, "ada@example.com", "an even better horse"); err != nil {
			t.Fatal(err)
		}
		tokens, err := store.Load(ctx)
		if left := time.Until(tokens.RefreshAt); err != nil || left > 15*time.Minute*9/10 || left < 13*time.Minute {
			t.Errorf("the next refresh is in %v, %v", left, err)
		}
		if err := session.Logout(ctx); err != nil {
			t.Fatal(err)
		}
		server.ExpectDead(t, servertest.Tokens{Access: tokens.AccessToken, Refresh: tokens.RefreshToken})
		if tokens, _ := store.Load(ctx); tokens != (client.Tokens{}) {
			t.Error("the tokens are kept after the logout")
		}
		if err := session.Logout(ctx); err != nil {
			t.Errorf("a second logout: %v", err)
		}
	})
}

// A logout that the server did not store can be tried again; a token that no server knows is given up.
func TestLogoutThatFails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.change(t, func(tokens *client.Tokens) { tokens.RefreshToken = "of another server" })
		if err := s.Logout(t.Context()); err != nil || s.tokens(t) != (client.Tokens{}) {
			t.Errorf("%v, %v", err, s.tokens(t))
		}
		if err := s.Login(t.Context(), s.email, servertest.Password); err != nil {
			t.Fatal(err)
		}
		before := s.tokens(t)
		s.server.CloseDatabase(t)
		isProblem(t, s.Logout(t.Context()), http.StatusServiceUnavailable, "unavailable")
		if s.tokens(t) != before {
			t.Error("the tokens are forgotten, and the session lives on")
		}
	})
}

// What a client can be refused by a real server.
func TestProblemsOfTheServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := servertest.Start(t, engine, servertest.Options{Throttle: true})
		session, err := client.New(client.Config{Server: server.URL, Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		ada := client.RegisterInput{Name: "Ada", Email: "ada@example.com", Password: servertest.Password, Confirm: servertest.Password}
		if _, err := session.Register(ctx, ada); err != nil {
			t.Fatal(err)
		}
		_, err = session.Register(ctx, ada)
		isProblem(t, err, http.StatusBadRequest, "email_taken")
		_, err = session.Register(ctx, client.RegisterInput{Name: "Ada", Email: "nobody", Password: servertest.Password})
		if p := isProblem(t, err, http.StatusBadRequest, "validation_failed"); len(p.Errors) != 2 || p.Errors[0].Pointer == nil || p.Errors[0].Detail == "" || p.Errors[0].Code == "" || !strings.HasPrefix(p.Instance, "urn:uuid:") {
			t.Errorf("%+v", p)
		}
		_, err = session.Register(ctx, client.RegisterInput{Name: "Eve", Email: "eve@example.com", Password: "password1", Confirm: "password1"})
		if p := isProblem(t, err, http.StatusBadRequest, "weak_password"); !strings.Contains(p.Error(), p.Detail) || p.Detail == "" {
			t.Errorf("%v", p)
		}
		_, err = session.Register(ctx, client.RegisterInput{Name: "NUL\x00"})
		isProblem(t, err, http.StatusBadRequest, "malformed_body")
		_, err = session.Register(ctx, client.RegisterInput{Name: strings.Repeat("a", 17<<10)})
		isProblem(t, err, http.StatusRequestEntityTooLarge, "content_too_large")
		for range 10 {
			isProblem(t, session.Login(ctx, "ada@example.com", "wrong"), http.StatusUnauthorized, "invalid_credentials")
		}
		if p := isProblem(t, session.Login(ctx, "ada@example.com", "wrong"), http.StatusTooManyRequests, "too_many_requests"); p.RetryAfter < time.Second {
			t.Errorf("retry after %v", p.RetryAfter)
		}
		lost, err := client.New(client.Config{Server: server.URL + "/nowhere", Transport: server.Client.Transport})
		if err != nil {
			t.Fatal(err)
		}
		isProblem(t, lost.ForgotPassword(ctx, "ada@example.com"), http.StatusNotFound, "not_found")
	})
}

// Every code arrives as it was sent, also one that this client does not know, and a response that is not a problem document
// arrives as a status.
func TestProblemsOfEveryCode(t *testing.T) {
	type answer struct{ media, body, code string }
	answers := []answer{{"text/html", "<h1>Bad gateway</h1>", ""}, {"application/json", `{"code":"unavailable"}`, ""}, {"application/problem+json", `{`, ""},
		{"application/problem+json", `{"code":"added_tomorrow","status":200,"detail":"D.","reason":"new","errors":[{"pointer":"/x","code":"new_too","detail":"D."}]}`, "added_tomorrow"}}
	for _, code := range servertest.Document().ProblemCodes() {
		answers = append(answers, answer{"application/problem+json; charset=utf-8", `{"code":"` + code + `","status":200,"detail":"D."}`, code})
	}
	for _, answer := range answers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", answer.media)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(answer.body))
		}))
		session, err := client.New(client.Config{Server: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		p := isProblem(t, session.Login(t.Context(), "ada@example.com", "a"), http.StatusBadGateway, answer.code)
		if p.RetryAfter != 7*time.Second || answer.code != "" && p.Detail != "D." || !strings.Contains(p.Error(), "sesame: ") {
			t.Errorf("%+v", p)
		}
		server.Close()
	}
}

func TestServersThatAreNone(t *testing.T) {
	for _, config := range []client.Config{{}, {Server: "auth.example.com"}, {Server: "ftp://auth.example.com"}, {Server: "https://"},
		{Server: "https://auth.example.com", Origins: []string{"*"}}, {Server: "http://[::1"}} {
		if _, err := client.New(config); err == nil {
			t.Errorf("%+v is taken", config)
		}
	}
}
