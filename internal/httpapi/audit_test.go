package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// recorded returns the audit events of accounts and sessions so far, the oldest first.
func recorded(t *testing.T, s *servertest.Server) []audit.Event {
	t.Helper()
	var events []audit.Event
	err := audit.Read(t.Context(), s.DB, audit.Filter{}, func(event audit.Event) error {
		if event.Kind != audit.CreateKey {
			events = append(events, event)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// Every event of an account and its sessions is recorded once, with the request and the client.
func TestAuditEvents(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		seen := 0
		// next makes a call and expects it to record exactly these events, each as kind, outcome and
		// detail.
		next := func(call func() servertest.Response, want ...string) []audit.Event {
			t.Helper()
			response := call()
			events := recorded(t, s)[seen:]
			seen += len(events)
			var got []string
			for _, event := range events {
				got = append(got, fmt.Sprintf("%s %s %s", event.Kind, event.Outcome, event.Detail))
				if event.RequestID != response.Header.Get("X-Request-Id") || event.IP != "127.0.0.1" ||
					time.Since(event.At).Abs() > time.Minute {
					t.Errorf("%s: request %q, IP %q, at %s", event.Kind, event.RequestID, event.IP, event.At)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("recorded %q, want %q", got, want)
			}
			return events
		}
		login := func(email, password string) func() servertest.Response {
			return func() servertest.Response {
				return s.Post(t, "/auth/login", "email", email, "password", password)
			}
		}
		refresh := func(token string) func() servertest.Response {
			return func() servertest.Response { return s.TryRefresh(t, token) }
		}
		logout := func(token string) func() servertest.Response {
			return func() servertest.Response { return s.Logout(t, token) }
		}

		const ada = "ada@example.com"
		registered := next(func() servertest.Response { return s.Register(t, "Ada@Example.com") }, "register success ")
		next(func() servertest.Response { return s.Register(t, ada) }) // taken
		user := registered[0].UserID
		var stored auth.User
		err := s.DB.WithContext(t.Context()).Take(&stored).Error
		if err != nil || stored.ID != user || registered[0].Email != ada {
			t.Errorf("recorded user %s %q, want %s, %v", user, registered[0].Email, stored.ID, err)
		}
		for _, event := range next(login(ada, "not the password"), "login failure wrong password") {
			if event.UserID != user || event.Email != ada {
				t.Errorf("%+v", event)
			}
		}
		for _, event := range next(login("Nobody@example.com", "not the password"), "login failure no such account") {
			if event.Email != "nobody@example.com" {
				t.Errorf("%+v", event)
			}
		}
		for _, event := range next(login("Pa$$word in the wrong field", "x"), "login failure no such account") {
			if event.Email != "" {
				t.Errorf("text that is not an email was recorded: %+v", event)
			}
		}
		var tokens servertest.Tokens
		opened := next(func() servertest.Response {
			response := s.Do(t, http.MethodPost, "/auth/login",
				`{"email":"`+ada+`","password":"`+servertest.Password+`"}`,
				"Content-Type", asJSON, "User-Agent", `a "browser" é`)
			tokens = servertest.Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
			return response
		}, "login success ")
		if opened[0].UserAgent != `a "browser" é` || opened[0].UserID != user {
			t.Errorf("%+v", opened[0])
		}
		next(func() servertest.Response { return s.Authenticate(t, tokens.Access) })
		next(refresh("garbage"))
		next(refresh(tokens.Refresh)) // an ordinary refresh is not recorded
		replay := next(refresh(tokens.Refresh), "refresh-replay success ")
		s.Clock.Advance(31 * time.Second)
		reuse := next(refresh(tokens.Refresh),
			"refresh-reuse failure an old refresh token was used again: the session is revoked")
		for _, event := range slices.Concat(replay, reuse) {
			if event.UserID != user || event.SessionID != opened[0].SessionID {
				t.Errorf("%+v", event)
			}
		}
		next(refresh(tokens.Refresh)) // already revoked
		next(logout(tokens.Refresh))
		tokens = s.Login(t, ada)
		seen++
		for _, event := range next(logout(tokens.Refresh), "logout success ") {
			if event.UserID != user || event.SessionID == opened[0].SessionID {
				t.Errorf("%+v", event)
			}
		}
		next(logout(tokens.Refresh))

		next(func() servertest.Response { return s.ForgotPassword(t, ada) }, "forgot-password success ")
		next(func() servertest.Response { return s.ForgotPassword(t, "nobody@example.com") }, "forgot-password success ")
		token := s.ResetToken(t, s.NextEmail(t))
		reset := func(token, password string) func() servertest.Response {
			return func() servertest.Response { return s.ResetPassword(t, token, password) }
		}
		next(reset("garbage", servertest.Password), "reset-password failure the token is unknown, used, or expired")
		for _, event := range next(reset(token, "another password"), "reset-password success ") {
			if event.UserID != user || event.Email != ada {
				t.Errorf("%+v", event)
			}
		}
		users := s.DB.WithContext(t.Context()).Model(&auth.User{})
		if err := users.Where("id = ?", user).UpdateColumn("disabled_at", s.Clock.Now()).Error; err != nil {
			t.Fatal(err)
		}
		next(login(ada, "another password"), "login failure the user is disabled")
	})
}

// An action that cannot be recorded fails: it creates no account or session, revokes no session,
// and changes no password.
func TestActionFailsIfItCannotBeRecorded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		live, retired := s.Login(t, email), s.Login(t, email)
		successor := s.Refresh(t, retired.Refresh)
		s.Clock.Advance(time.Minute)
		s.ForgotPassword(t, email)
		token := s.ResetToken(t, s.NextEmail(t))
		rename := func(from, to string) {
			if err := s.DB.WithContext(t.Context()).Exec("ALTER TABLE " + from + " RENAME TO " + to).Error; err != nil {
				t.Fatal(err)
			}
		}
		rename("audit_events", "audit_events_away")
		for name, response := range map[string]servertest.Response{
			"register": s.Register(t, "new@example.com"),
			"login":    s.Post(t, "/auth/login", "email", email, "password", servertest.Password),
			"failure":  s.Post(t, "/auth/login", "email", email, "password", "not the password"),
			"logout":   s.Logout(t, live.Refresh),
			"reuse":    s.TryRefresh(t, retired.Refresh),
			"forgot":   s.ForgotPassword(t, email),
			"reset":    s.ResetPassword(t, token, "another password"),
		} {
			if response.Status != http.StatusInternalServerError {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		rename("audit_events_away", "audit_events")
		var users, sessions int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error; err != nil || users != 1 {
			t.Errorf("%d users, %v", users, err)
		}
		if err := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Count(&sessions).Error; err != nil || sessions != 2 {
			t.Errorf("%d sessions, %v", sessions, err)
		}
		s.RequireActive(t, live)
		s.RequireActive(t, successor)
		if response := s.ResetPassword(t, token, "another password"); response.Status != http.StatusOK {
			t.Errorf("the reset token was used up: %d %s", response.Status, response.Raw)
		}
	})
}

// A flood of throttled attempts creates one event, and so does a flood of replayed refreshes.
func TestFloodCreatesFewEvents(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		s.Refresh(t, tokens.Refresh)
		var calls []func()
		for range 100 {
			calls = append(calls,
				func() { loginFrom(t, s, "192.0.2.1", email, wrong) },
				func() { s.TryRefresh(t, tokens.Refresh) },
				func() { s.ForgotPassword(t, email) })
		}
		for _, call := range calls {
			call()
		}
		count := make(map[string]int)
		for _, event := range recorded(t, s) {
			count[string(event.Kind)+" "+string(event.Outcome)]++
		}
		for event, want := range map[string]int{
			"login failure": 10, "login throttled": 1, "refresh-replay success": 1,
			"forgot-password success": 1, "forgot-password throttled": 1,
		} {
			if count[event] != want {
				t.Errorf("%s: %d events, want %d", event, count[event], want)
			}
		}
		s.Clock.Advance(15 * time.Minute) // the budget is full again; using it up is recorded again
		for range 12 {
			loginFrom(t, s, "192.0.2.1", email, wrong)
		}
		if events := recorded(t, s); events[len(events)-1].Outcome != audit.Throttled {
			t.Errorf("the last event is %+v", events[len(events)-1])
		}
	})
}

// The 101st session of a user revokes the one that was not refreshed for the longest time. That
// need not be the oldest. Sessions of other users are not affected.
func TestSessionLimit(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		otherUser := s.Login(t, s.NewUser(t))
		sessions := make([]servertest.Tokens, 100)
		for i := range sessions {
			s.Clock.Advance(time.Second)
			sessions[i] = s.Login(t, email)
		}
		s.Clock.Advance(time.Second)
		sessions[0] = s.Refresh(t, sessions[0].Refresh)
		s.Clock.Advance(time.Second)
		last := s.Login(t, email)
		s.RequireEnded(t, sessions[1])
		for _, tokens := range []servertest.Tokens{last, sessions[0], sessions[2], sessions[99], otherUser} {
			s.RequireActive(t, tokens)
		}
		events := recorded(t, s)
		var evictions []audit.Event
		for _, event := range events {
			if event.Kind == audit.Evict {
				evictions = append(evictions, event)
			}
		}
		login := events[len(events)-1]
		if len(evictions) != 1 || evictions[0].RequestID != login.RequestID || evictions[0].Email != email {
			t.Errorf("recorded %+v", evictions)
		}
	})
}
