package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// dump returns all rows of the database as text, by table.
func dump(t *testing.T, s *servertest.Server) map[string]string {
	t.Helper()
	dumped := make(map[string]string)
	for _, table := range databasetest.Tables(t, s.DB) {
		var rows []map[string]any
		if err := s.DB.WithContext(t.Context()).Table(table).Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for column, value := range row {
				dumped[table] += fmt.Sprintf("%s=%v\n", column, value)
			}
		}
	}
	return dumped
}

func deleteAccount(t *testing.T, s *servertest.Server, accessToken string) servertest.Response {
	t.Helper()
	return s.As(t, accessToken, http.MethodPost, "/auth/delete-account", "password", servertest.Password)
}

// requireForgotten requires that nothing is left of a user who was deleted but events without
// anything about the person, and that the email can register again.
func requireForgotten(t *testing.T, s *servertest.Server, user *auth.User, traces ...string) {
	t.Helper()
	s.WaitForOutbox(t)
	for table, rows := range dump(t, s) {
		if table == "audit_events" && len(traces) == 0 {
			continue // a request that came after the deletion is recorded with the email, but not the user
		}
		for _, trace := range append(traces, user.Email, user.Name) {
			if strings.Contains(rows, trace) {
				t.Errorf("the table %s contains %q:\n%s", table, trace, rows)
			}
		}
		if table != "audit_events" && strings.Contains(rows, user.ID.String()) {
			t.Errorf("the table %s contains the id of the user", table)
		}
	}
	for _, event := range recorded(t, s) {
		if event.UserID == user.ID && (event.Email != "" || event.IP != "" || event.UserAgent != "" || event.Detail != "") {
			t.Errorf("an event is not blank: %+v", event)
		}
	}
	if response := s.Register(t, user.Email); response.Status != http.StatusCreated {
		t.Errorf("registering the email again: %d %s", response.Status, response.Raw)
	}
}

// userWithName registers a user whose name occurs nowhere else.
func userWithName(t *testing.T, s *servertest.Server) *auth.User {
	t.Helper()
	email := fmt.Sprintf("person-%s@example.com", uuid.NewString())
	response := s.Post(t, "/auth/register", "name", "Augusta "+uuid.NewString(), "email", email,
		"password", servertest.Password, "confirm", servertest.Password)
	if response.Status != http.StatusCreated {
		t.Fatalf("register: %d %s", response.Status, response.Raw)
	}
	user, err := s.Auth.FindUser(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// Deleting an account takes effect immediately and leaves nothing. The last email says so. The new
// owner of the email has no event of the old one.
func TestDeleteAccount(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{BehindProxy: true, EmailVerification: auth.VerificationOptional})
		const ip, agent = "192.0.2.77", "a browser of Augusta"
		user := userWithName(t, s)
		body := fmt.Sprintf(`{"email":%q,"password":%q}`, user.Email, servertest.Password)
		from := []string{"Content-Type", asJSON, "User-Agent", agent, "X-Forwarded-For", ip}
		// Events without the id of the user, and emails that wait or were given up.
		s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, user.Email), from...)
		s.Do(t, http.MethodPost, "/auth/login", strings.ReplaceAll(body, servertest.Password, wrong), from...)
		this := tokensOf(t, s.Do(t, http.MethodPost, "/auth/login", body, from...))
		other := tokensOf(t, s.Do(t, http.MethodPost, "/auth/login", body, from...))
		s.Refresh(t, s.Refresh(t, other.Refresh).Refresh)
		s.TryRefresh(t, other.Refresh) // reuse
		response := s.As(t, this.Access, http.MethodPost, "/auth/change-email",
			"email", "next-"+user.Email, "password", servertest.Password)
		if response.Status != http.StatusAccepted {
			t.Fatalf("change: %d %s", response.Status, response.Raw)
		}
		s.WaitForOutbox(t)
		err := s.DB.WithContext(t.Context()).Exec(`INSERT INTO outbox
			(id, kind, email, user_id, attempts, due_at, last_error, created_at, dead_at)
			VALUES ('01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77', 'reset-password', ?, ?, 1, ?, '', ?, ?)`,
			user.Email, uuid.Nil, s.Clock.Now(), s.Clock.Now(), s.Clock.Now()).Error
		if err != nil {
			t.Fatal(err)
		}
		for s.Emails() != nil { // those that have arrived
			continue
		}
		if response := deleteAccount(t, s, this.Access); response.Status != http.StatusOK {
			t.Fatalf("delete: %d %s", response.Status, response.Raw)
		}
		s.RequireEnded(t, this)
		if last := s.NextEmail(t); last.To != user.Email || last.Subject != "Your Sesame account was deleted" {
			t.Errorf("the last email: %s to %s", last.Subject, last.To)
		}
		if response := deleteAccount(t, s, this.Access); response.Status != http.StatusUnauthorized {
			t.Errorf("deleted twice: %d", response.Status)
		}
		requireForgotten(t, s, user, ip, agent)

		fresh := s.Login(t, user.Email)
		s.RequireEnded(t, this)
		exported := s.As(t, fresh.Access, http.MethodGet, "/auth/account/export")
		events, _ := exported.Body["events"].([]any)
		if exported.Status != http.StatusOK || len(events) != 2 { // registered and logged in
			t.Errorf("the new owner's export: %d %s", exported.Status, exported.Raw)
		}
	})
}

// Nothing is left of an account either if it is used while it is deleted.
func TestDeleteAccountRaces(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOptional})
		for i := range 24 { // each twice
			user := userWithName(t, s)
			verification := s.NextLinkToken(t, user.Email, "verify-email")
			this, other := s.Login(t, user.Email), s.Login(t, user.Email)
			s.ForgotPassword(t, user.Email)
			resetToken := s.NextResetToken(t, user.Email)
			as := func(path string, members ...any) func() servertest.Response {
				return func() servertest.Response { return s.As(t, other.Access, http.MethodPost, path, members...) }
			}
			attempts := []func() servertest.Response{
				func() servertest.Response {
					return s.Post(t, "/auth/login", "email", user.Email, "password", servertest.Password)
				},
				func() servertest.Response { return s.Post(t, "/auth/login", "email", user.Email, "password", wrong) },
				func() servertest.Response { return s.TryRefresh(t, other.Refresh) },
				func() servertest.Response { return s.Logout(t, other.Refresh) },
				func() servertest.Response { return s.ResetPassword(t, resetToken, newPassword) },
				func() servertest.Response {
					return s.Post(t, "/auth/verify-email", "token", verification, "password", servertest.Password)
				},
				as("/auth/change-email", "email", "next-"+user.Email, "password", servertest.Password),
				as("/auth/change-password", "currentPassword", servertest.Password, "password", newPassword),
				as("/auth/logout-everywhere", "keepCurrent", false),
				as("/auth/delete-account", "password", wrong),
				as("/auth/delete-account", "password", servertest.Password),
				func() servertest.Response { return s.As(t, other.Access, http.MethodGet, "/auth/account/export") },
			}
			var deleted, attempted servertest.Response
			var both sync.WaitGroup
			both.Go(func() { deleted = deleteAccount(t, s, this.Access) })
			both.Go(func() { attempted = attempts[i%len(attempts)]() })
			both.Wait()
			if attempted.Status >= 500 || deleted.Status >= 500 {
				t.Fatalf("%d: %s %s", i, deleted.Raw, attempted.Raw)
			}
			if deleted.Status != http.StatusOK { // a new password, a logout everywhere or the other deletion came first
				user, err := s.Auth.FindUser(t.Context(), user.Email)
				if err != nil {
					continue
				}
				if err := s.Auth.DeleteUser(t.Context(), user.ID); err != nil {
					t.Fatal(err)
				}
			}
			s.RequireEnded(t, this)
			s.RequireEnded(t, other)
			if attempted.Status == http.StatusOK && attempted.Text("accessToken") != "" {
				s.RequireEnded(t, tokensOf(t, attempted))
			}
			requireForgotten(t, s, user)
		}
	})
}

// An operator's deletion leaves as little as that of the owner.
func TestDeletionByOperator(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		user := userWithName(t, s)
		tokens := s.Login(t, user.Email)
		if err := s.Auth.DeleteUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		s.RequireEnded(t, tokens)
		requireForgotten(t, s, user)
		kinds := map[audit.Kind]bool{}
		for _, event := range recorded(t, s) {
			if event.UserID == user.ID {
				kinds[event.Kind] = true
			}
		}
		if !kinds[audit.Register] || !kinds[audit.Login] || !kinds[audit.DeleteUser] {
			t.Errorf("events: %v", kinds)
		}
	})
}
