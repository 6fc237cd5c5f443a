package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// withoutID is what an response says, but for the id of its request.
func withoutID(a servertest.Answer) string {
	header := a.Header.Clone()
	header.Del("Date")
	id := header.Get("X-Request-Id")
	header.Del("X-Request-Id")
	return fmt.Sprint(a.Status, header, strings.ReplaceAll(a.Raw, id, ""))
}

// Who has an account is not told: not by the response to an unknown email, nor by the one to a wrong password.
func TestLoginDoesNotRevealAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		wrong := s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		if wrong.Status != http.StatusUnauthorized || wrong.Code() != "invalid_credentials" {
			t.Fatalf("a wrong password: %d %s", wrong.Status, wrong.Raw)
		}
		for name, response := range map[string]servertest.Answer{
			"unknown email":          s.Post(t, "/auth/login", "email", "nobody@example.com", "password", "a wrong password"),
			"no email":               s.Post(t, "/auth/login", "email", "nobody", "password", "a wrong password"),
			"empty email":            s.Post(t, "/auth/login", "email", "", "password", "a wrong password"),
			"empty password":         s.Post(t, "/auth/login", "email", email, "password", ""),
			"password of any length": s.Post(t, "/auth/login", "email", email, "password", strings.Repeat("a", 1024)),
			"control characters":     s.Post(t, "/auth/login", "email", email, "password", "\a\b"),
			"look-alike email":       s.Post(t, "/auth/login", "email", strings.Replace(email, "u", "ｕ", 1), "password", servertest.Password),
			"Kelvin for k":           s.Post(t, "/auth/login", "email", "\u212A"+email, "password", servertest.Password),
		} {
			if withoutID(response) != withoutID(wrong) {
				t.Errorf("%s is told apart: %d %s", name, response.Status, response.Raw)
			}
		}
		if response := s.Post(t, "/auth/login", "email", strings.ToUpper(email), "password", servertest.Password); response.Status != http.StatusOK {
			t.Errorf("the email in capitals: %d", response.Status)
		}
	})
}

// What log-in checks is exactly what was registered, but for how a message is composed.
func TestPasswordsAreExact(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		long := strings.Repeat("0123456789", 12) + "longest!"
		for i, test := range []struct {
			password      string
			same, another []string
		}{
			{password: " spaces at the ends ", another: []string{"spaces at the ends", " spaces at the ends"}},
			{password: "Upper and lower", another: []string{"upper and lower"}},
			{password: long, another: []string{long[:127], long[:127] + "?", long[:72], long + "x"}},
			{password: "caf\u00e9 caf\u00e9", same: []string{"cafe\u0301 cafe\u0301"}, another: []string{"cafe cafe"}},
			{password: "🐎🔋📎🐎🔋🐎📎🔋"},
		} {
			email := fmt.Sprintf("kept%d@example.com", i)
			if response := s.Post(t, "/auth/register", "name", "Ada", "email", email, "password", test.password, "confirm", test.password); response.Status != http.StatusCreated {
				t.Fatalf("%q: %d %s", test.password, response.Status, response.Raw)
			}
			for _, same := range append(test.same, test.password) {
				if response := s.Post(t, "/auth/login", "email", email, "password", same); response.Status != http.StatusOK {
					t.Errorf("%q for %q: %d", same, test.password, response.Status)
				}
			}
			for _, another := range test.another {
				if response := s.Post(t, "/auth/login", "email", email, "password", another); response.Status != http.StatusUnauthorized {
					t.Errorf("%q for %q: %d", another, test.password, response.Status)
				}
			}
		}
	})
}

// A rejected password comes with the reason, for programs and for people. One that only becomes too short in the form that
// is hashed is a validation error, like one that was typed too short.
func TestWeakPasswordsAreRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for refused, want := range map[string]string{
			"PASSWORD": "common", "1q2w3e4r": "common", "P@ssw0rd2024!": "common", "dragondragon": "common", "ChesterD0g": "breached",
			"Hopper1906": "personal", "NAVY-grace": "personal", "grace@navy.example": "personal", "sesame 26": "personal",
			"bell\a bell\a": "unsupported_characters",
		} {
			response := s.Post(t, "/auth/register", "name", "Grace Hopper", "email", "Grace@navy.example", "password", refused, "confirm", refused)
			if response.Status != http.StatusBadRequest || response.Code() != "weak_password" || response.Text("reason") != want ||
				!strings.HasPrefix(response.Text("detail"), "This password ") {
				t.Errorf("%q: %d %s", refused, response.Status, response.Raw)
			}
		}
		composed := strings.Repeat("e\u0301", 4) // eight code points, four after NFC
		response := s.Post(t, "/auth/register", "name", "Grace", "email", "short@navy.example", "password", composed, "confirm", composed)
		want := []string{"/password too_short: This value must have at least 8 characters."}
		if response.Status != http.StatusBadRequest || response.Code() != "validation_failed" || !slices.Equal(response.Errors(), want) {
			t.Errorf("too short after normalization: %d %s", response.Status, response.Raw)
		}
	})
}

// Of many registrations of one email, in every spelling, one succeeds.
func TestRegistrationsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		spellings := []string{"Race@example.com", "race@EXAMPLE.com", "RACE@EXAMPLE.COM", "rAcE@eXaMpLe.CoM"}
		var mu sync.Mutex
		var turn int
		responses := atOnce(60, func() servertest.Answer {
			mu.Lock()
			turn++
			email := spellings[turn%len(spellings)]
			mu.Unlock()
			return s.Register(t, email)
		})
		count := make(map[string]int)
		for _, response := range responses {
			count[fmt.Sprint(response.Status, response.Code())]++
		}
		if count["201"] != 1 || count["400email_taken"] != 59 {
			t.Errorf("responses: %v", count)
		}
		var users int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error; err != nil || users != 1 {
			t.Errorf("%d users, %v", users, err)
		}
	})
}

func TestReset(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, bystander := s.NewUser(t), s.Login(t, s.NewUser(t))
		sessions := []servertest.Tokens{s.Login(t, email), s.Login(t, email)}
		resetToken := func() string {
			t.Helper()
			if response := s.Forgot(t, email); response.Status != http.StatusAccepted {
				t.Fatalf("forgot: %d", response.Status)
			}
			message := s.NextEmail(t)
			if message.To != email {
				t.Fatalf("the message went to %s", message.To)
			}
			return s.ResetToken(t, message)
		}

		older := resetToken()
		current := resetToken()
		parent := sessions[0]
		sessions[0] = s.ExpectLive(t, sessions[0]) // asking changes nothing
		if response := s.Reset(t, older, "another password"); response.Status != http.StatusUnauthorized || response.Code() != "invalid_reset_token" {
			t.Errorf("the older token: %d %s", response.Status, response.Raw)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} { // as mail scanners do
			s.Do(t, method, "/reset-password?token="+current, "")
			s.Do(t, method, "/auth/reset-password?token="+current, "")
		}
		for _, refused := range []string{"short", strings.Repeat("a", 129), "bell\a in the middle", "PassWord", email + "!", "Ada, sesame"} {
			if response := s.Reset(t, current, refused); response.Status != http.StatusBadRequest {
				t.Errorf("%q: %d", refused, response.Status)
			}
		}
		if response := s.Reset(t, current, "an even better horse"); response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		for _, session := range append(sessions, parent) { // for the parent there is no grace any more
			s.ExpectDead(t, session)
			if reason := sessionReason(t, s, session); reason != nil {
				t.Errorf("a session that a reset ended was revoked because of %s", *reason)
			}
		}
		s.ExpectLive(t, bystander)
		if message := s.NextEmail(t); message.To != email || !strings.Contains(message.Subject, "password was changed") {
			t.Errorf("the owner was told %q", message.Subject)
		}
		if response := s.Reset(t, current, "a third password"); response.Status != http.StatusUnauthorized {
			t.Errorf("the used token: %d", response.Status)
		}
		if response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password); response.Status != http.StatusUnauthorized {
			t.Errorf("the old password: %d", response.Status)
		}
		if response := s.Post(t, "/auth/login", "email", email, "password", "an even better horse"); response.Status != http.StatusOK {
			t.Errorf("the new password: %d", response.Status)
		}

		late := resetToken()
		s.Clock.Advance(30 * time.Minute)
		if response := s.Reset(t, late, "a third password"); response.Status != http.StatusUnauthorized {
			t.Errorf("the expired token: %d", response.Status)
		}
	})
}

// A token that is presented many times at once sets one password.
func TestResetsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.Forgot(t, email)
		resetToken := s.ResetToken(t, s.NextEmail(t))
		count := make(map[int]int)
		for _, response := range atOnce(20, func() servertest.Answer { return s.Reset(t, resetToken, "an even better horse") }) {
			count[response.Status]++
		}
		if count[200] != 1 || count[401] != 19 {
			t.Errorf("responses: %v", count)
		}
		var user auth.User
		if err := s.DB.WithContext(t.Context()).Where("email = ?", email).Take(&user).Error; err != nil || user.Generation != 2 {
			t.Errorf("generation %d, %v", user.Generation, err)
		}
	})
}

// Forgot responses the same for every email; only an account's owner gets a mail, at the stored email.
func TestForgotDoesNotRevealAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		unknown := s.Forgot(t, "nobody@example.com")
		request := s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, strings.ToUpper(email)),
			"Content-Type", asJSON, "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "http", "Origin", "https://evil.example")
		if unknown.Status != http.StatusAccepted || withoutID(unknown) != withoutID(request) {
			t.Errorf("unknown: %d %s\nknown: %d %s", unknown.Status, unknown.Raw, request.Status, request.Raw)
		}
		message := s.NextEmail(t) // rows are worked on in order: nobody's came first
		if message.To != email || strings.Contains(message.Raw, "evil") {
			t.Errorf("a message to %s:\n%s", message.To, message.Raw)
		}
		s.ResetToken(t, message) // checks where the link points
		if more := s.Emails(); len(more) > 0 {
			t.Errorf("a message to %s", more[0].To)
		}
	})
}

// A password does not expire.
func TestPasswordsDoNotExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.Clock.Advance(5 * 365 * 24 * time.Hour)
		s.ExpectLive(t, s.Login(t, email))
	})
}
