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

// withoutID returns a response as text, without the id of the request.
func withoutID(a servertest.Response) string {
	header := a.Header.Clone()
	header.Del("Date")
	id := header.Get("X-Request-Id")
	header.Del("X-Request-Id")
	return fmt.Sprint(a.Status, header, strings.ReplaceAll(a.Raw, id, ""))
}

// A login does not reveal whether an email has an account: all failures return the same response.
func TestLoginDoesNotRevealAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		wrong := s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		if wrong.Status != http.StatusUnauthorized || wrong.Code() != "invalid_credentials" {
			t.Fatalf("a wrong password: %d %s", wrong.Status, wrong.Raw)
		}
		lookAlike := strings.Replace(email, "u", "ｕ", 1)
		for name, response := range map[string]servertest.Response{
			"unknown email":          s.Post(t, "/auth/login", "email", "nobody@example.com", "password", "a wrong password"),
			"not an email":           s.Post(t, "/auth/login", "email", "nobody", "password", "a wrong password"),
			"empty email":            s.Post(t, "/auth/login", "email", "", "password", "a wrong password"),
			"empty password":         s.Post(t, "/auth/login", "email", email, "password", ""),
			"password of any length": s.Post(t, "/auth/login", "email", email, "password", strings.Repeat("a", 1024)),
			"control characters":     s.Post(t, "/auth/login", "email", email, "password", "\a\b"),
			"look-alike email":       s.Post(t, "/auth/login", "email", lookAlike, "password", servertest.Password),
			"Kelvin for k":           s.Post(t, "/auth/login", "email", "\u212A"+email, "password", servertest.Password),
		} {
			if withoutID(response) != withoutID(wrong) {
				t.Errorf("%s returns another response: %d %s", name, response.Status, response.Raw)
			}
		}
		upper := s.Post(t, "/auth/login", "email", strings.ToUpper(email), "password", servertest.Password)
		if upper.Status != http.StatusOK {
			t.Errorf("the email in upper case: %d", upper.Status)
		}
	})
}

// A login needs exactly the registered password. Only the Unicode form of its characters may
// differ.
func TestPasswordsAreExact(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		long := strings.Repeat("0123456789", 12) + "longest!"
		for i, test := range []struct {
			password    string
			same, other []string
		}{
			{password: " spaces at the ends ", other: []string{"spaces at the ends", " spaces at the ends"}},
			{password: "Upper and lower", other: []string{"upper and lower"}},
			{password: long, other: []string{long[:127], long[:127] + "?", long[:72], long + "x"}},
			{password: "caf\u00e9 caf\u00e9", same: []string{"cafe\u0301 cafe\u0301"}, other: []string{"cafe cafe"}},
			{password: "🐎🔋📎🐎🔋🐎📎🔋"},
		} {
			email := fmt.Sprintf("kept%d@example.com", i)
			registered := s.Post(t, "/auth/register",
				"name", "Ada", "email", email, "password", test.password, "confirm", test.password)
			if registered.Status != http.StatusCreated {
				t.Fatalf("%q: %d %s", test.password, registered.Status, registered.Raw)
			}
			expectLogin := func(password string, want int) {
				t.Helper()
				response := s.Post(t, "/auth/login", "email", email, "password", password)
				if response.Status != want {
					t.Errorf("%q for %q: %d", password, test.password, response.Status)
				}
			}
			for _, same := range append(test.same, test.password) {
				expectLogin(same, http.StatusOK)
			}
			for _, other := range test.other {
				expectLogin(other, http.StatusUnauthorized)
			}
		}
	})
}

// The response to a weak password contains the reason, as a code and as a text.
func TestWeakPasswordsAreRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for refused, want := range map[string]string{
			"PASSWORD":           "common",
			"1q2w3e4r":           "common",
			"P@ssw0rd2024!":      "common",
			"dragondragon":       "common",
			"ChesterD0g":         "breached",
			"Hopper1906":         "personal",
			"NAVY-grace":         "personal",
			"grace@navy.example": "personal",
			"sesame 26":          "personal",
			"bell\a bell\a":      "unsupported_characters",
		} {
			response := s.Post(t, "/auth/register",
				"name", "Grace Hopper", "email", "Grace@navy.example", "password", refused, "confirm", refused)
			if response.Status != http.StatusBadRequest || response.Code() != "weak_password" ||
				response.Text("reason") != want || !strings.HasPrefix(response.Text("detail"), "This password ") {
				t.Errorf("%q: %d %s", refused, response.Status, response.Raw)
			}
		}
	})
}

// A new password needs 8 characters, or as many as are configured. The error names the number, and
// is reported together with the other errors of the request.
func TestPasswordLength(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const fifteen, emoji = "vxkwqzjp mfgtrb", "🐎🔋📎🐎🔋🐎📎🔋🔋📎🔋🐎📎🐎🔋" // of 15 characters
		of := func(length int) []string { return []string{fifteen[:length], string([]rune(emoji)[:length])} }
		for minLength, test := range map[int]struct{ accepted, refused []string }{
			0:  {accepted: of(8), refused: append(of(7), "x")},
			8:  {accepted: of(8), refused: append(of(7), "x")},
			15: {accepted: of(15), refused: slices.Concat(of(14), of(8), of(7))},
		} {
			s := servertest.Start(t, engine, servertest.Options{MinLength: minLength})
			tooShort := fmt.Sprintf("/password too_short: This value must have at least %d characters.", max(minLength, 8))
			register := func(email, password, confirm string) servertest.Response {
				return s.Post(t, "/auth/register", "name", "Ada", "email", email, "password", password, "confirm", confirm)
			}
			email := s.NewUser(t)
			s.ForgotPassword(t, email)
			resetToken := s.ResetToken(t, s.NextEmail(t))
			for _, refused := range test.refused {
				response := register("short@example.com", refused, refused)
				if response.Status != http.StatusBadRequest || !slices.Equal(response.Errors(), []string{tooShort}) {
					t.Errorf("%d: register %q: %d %s", minLength, refused, response.Status, response.Raw)
				}
				response = s.ResetPassword(t, resetToken, refused)
				if response.Status != http.StatusBadRequest || !slices.Equal(response.Errors(), []string{tooShort}) {
					t.Errorf("%d: reset %q: %d %s", minLength, refused, response.Status, response.Raw)
				}
				response = register("nobody", refused, "other")
				if len(response.Errors()) != 3 || !slices.Contains(response.Errors(), tooShort) {
					t.Errorf("%d: not all errors at once: %q", minLength, response.Errors())
				}
			}
			for i, accepted := range test.accepted {
				response := register(fmt.Sprintf("length%d@example.com", i), accepted, accepted)
				if response.Status != http.StatusCreated {
					t.Errorf("%d: register %q: %d %s", minLength, accepted, response.Status, response.Raw)
				}
			}
			if response := s.ResetPassword(t, resetToken, test.accepted[0]); response.Status != http.StatusOK {
				t.Errorf("%d: reset %q: %d %s", minLength, test.accepted[0], response.Status, response.Raw)
			}
			decomposed := strings.Repeat("e\u0301", max(minLength, 8)-1) // normalized, one too few
			response := register("short@example.com", decomposed, decomposed)
			if response.Status != http.StatusBadRequest || !slices.Equal(response.Errors(), []string{tooShort}) {
				t.Errorf("%d: too short after normalization: %d %s", minLength, response.Status, response.Raw)
			}
		}
	})
}

// A user whose password is shorter than is now required can still log in with it.
func TestShortPasswordsStayValid(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.StartAnother(t, engine, servertest.Options{MinLength: 64}).Login(t, email)
	})
}

// Of parallel registrations of the same email, in several spellings, exactly one succeeds.
func TestRegistrationsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		spellings := []string{"Race@example.com", "race@EXAMPLE.com", "RACE@EXAMPLE.COM", "rAcE@eXaMpLe.CoM"}
		var mu sync.Mutex
		var turn int
		responses := atOnce(60, func() servertest.Response {
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
			t.Errorf("statuses and codes: %v", count)
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
			if response := s.ForgotPassword(t, email); response.Status != http.StatusAccepted {
				t.Fatalf("forgot: %d", response.Status)
			}
			message := s.NextEmail(t)
			if message.To != email {
				t.Fatalf("the message was sent to %s", message.To)
			}
			return s.ResetToken(t, message)
		}

		older := resetToken()
		current := resetToken()
		parent := sessions[0]
		sessions[0] = s.RequireActive(t, sessions[0]) // the request changes nothing
		response := s.ResetPassword(t, older, "another password")
		if response.Status != http.StatusUnauthorized || response.Code() != "invalid_link" {
			t.Errorf("the older token: %d %s", response.Status, response.Raw)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} { // like scanners of emails
			s.Do(t, method, "/reset-password?token="+current, "")
			s.Do(t, method, "/auth/reset-password?token="+current, "")
		}
		for _, refused := range []string{
			"short", strings.Repeat("a", 129), "bell\a in the middle", "PassWord", email + "!", "Ada, sesame",
		} {
			if response := s.ResetPassword(t, current, refused); response.Status != http.StatusBadRequest {
				t.Errorf("%q: %d", refused, response.Status)
			}
		}
		if response := s.ResetPassword(t, current, "an even better horse"); response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		for _, session := range append(sessions, parent) { // the parent has no grace period any more
			s.RequireEnded(t, session)
			if reason := sessionReason(t, s, session); reason != nil {
				t.Errorf("the session has the reason %s: a reset sets none", *reason)
			}
		}
		s.RequireActive(t, bystander)
		notification := s.NextEmail(t)
		if notification.To != email || !strings.Contains(notification.Subject, "password was changed") {
			t.Errorf("the user was notified with %q", notification.Subject)
		}
		if response := s.ResetPassword(t, current, "a third password"); response.Status != http.StatusUnauthorized {
			t.Errorf("the used token: %d", response.Status)
		}
		response = s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		if response.Status != http.StatusUnauthorized {
			t.Errorf("the old password: %d", response.Status)
		}
		response = s.Post(t, "/auth/login", "email", email, "password", "an even better horse")
		if response.Status != http.StatusOK {
			t.Errorf("the new password: %d", response.Status)
		}

		late := resetToken()
		s.Clock.Advance(30 * time.Minute)
		if response := s.ResetPassword(t, late, "a third password"); response.Status != http.StatusUnauthorized {
			t.Errorf("the expired token: %d", response.Status)
		}
	})
}

// Of parallel resets with the same token, exactly one succeeds.
func TestResetsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.ForgotPassword(t, email)
		resetToken := s.ResetToken(t, s.NextEmail(t))
		count := make(map[int]int)
		reset := func() servertest.Response { return s.ResetPassword(t, resetToken, "an even better horse") }
		for _, response := range atOnce(20, reset) {
			count[response.Status]++
		}
		if count[200] != 1 || count[401] != 19 {
			t.Errorf("statuses: %v", count)
		}
		var user auth.User
		err := s.DB.WithContext(t.Context()).Where("email = ?", email).Take(&user).Error
		if err != nil || user.Generation != 2 {
			t.Errorf("generation %d, %v", user.Generation, err)
		}
	})
}

// A password reset request returns the same response for every email. The message goes to the
// stored email of the account, with a link from the configuration, not from the request.
func TestForgotDoesNotRevealAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		unknown := s.ForgotPassword(t, "nobody@example.com")
		body := fmt.Sprintf(`{"email":%q}`, strings.ToUpper(email))
		known := s.Do(t, http.MethodPost, "/auth/forgot-password", body,
			"Content-Type", asJSON,
			"X-Forwarded-Host", "evil.example",
			"Forwarded", "host=evil.example",
			"X-Forwarded-Proto", "http",
			"Origin", "https://evil.example")
		if unknown.Status != http.StatusAccepted || withoutID(unknown) != withoutID(known) {
			t.Errorf("unknown: %d %s\nknown: %d %s", unknown.Status, unknown.Raw, known.Status, known.Raw)
		}
		message := s.NextEmail(t) // in order: a message to the unknown email would be first
		if message.To != email || strings.Contains(message.Raw, "evil") {
			t.Errorf("a message to %s:\n%s", message.To, message.Raw)
		}
		s.ResetToken(t, message) // checks the URL of the link
		if more := s.Emails(); len(more) > 0 {
			t.Errorf("a message to %s", more[0].To)
		}
	})
}

func TestPasswordsDoNotExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.Clock.Advance(5 * 365 * 24 * time.Hour)
		s.RequireActive(t, s.Login(t, email))
	})
}
