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

// withoutID is what an answer says, but for the id of its request.
func withoutID(a servertest.Answer) string {
	header := a.Header.Clone()
	header.Del("Date")
	id := header.Get("X-Request-Id")
	header.Del("X-Request-Id")
	return fmt.Sprint(a.Status, header, strings.ReplaceAll(a.Raw, id, ""))
}

// Who has an account is not told: not by the answer to an unknown address, nor by the one to a wrong password.
func TestLoginTellsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		wrong := s.Post(t, "/auth/login", "email", address, "password", "a wrong password")
		if wrong.Status != http.StatusUnauthorized || wrong.Code() != "invalid_credentials" {
			t.Fatalf("a wrong password: %d %s", wrong.Status, wrong.Raw)
		}
		for name, answer := range map[string]servertest.Answer{
			"unknown address":        s.Post(t, "/auth/login", "email", "nobody@example.com", "password", "a wrong password"),
			"no address":             s.Post(t, "/auth/login", "email", "nobody", "password", "a wrong password"),
			"empty address":          s.Post(t, "/auth/login", "email", "", "password", "a wrong password"),
			"empty password":         s.Post(t, "/auth/login", "email", address, "password", ""),
			"password of any length": s.Post(t, "/auth/login", "email", address, "password", strings.Repeat("a", 1024)),
			"control characters":     s.Post(t, "/auth/login", "email", address, "password", "\a\b"),
			"look-alike address":     s.Post(t, "/auth/login", "email", strings.Replace(address, "u", "ｕ", 1), "password", servertest.Password),
			"Kelvin for k":           s.Post(t, "/auth/login", "email", "\u212A"+address, "password", servertest.Password),
		} {
			if withoutID(answer) != withoutID(wrong) {
				t.Errorf("%s is told apart: %d %s", name, answer.Status, answer.Raw)
			}
		}
		if answer := s.Post(t, "/auth/login", "email", strings.ToUpper(address), "password", servertest.Password); answer.Status != http.StatusOK {
			t.Errorf("the address in capitals: %d", answer.Status)
		}
	})
}

// What log-in checks is exactly what was registered, but for how a letter is composed.
func TestPasswordsAreKeptAsTheyAre(t *testing.T) {
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
			address := fmt.Sprintf("kept%d@example.com", i)
			if answer := s.Post(t, "/auth/register", "name", "Ada", "email", address, "password", test.password, "confirm", test.password); answer.Status != http.StatusCreated {
				t.Fatalf("%q: %d %s", test.password, answer.Status, answer.Raw)
			}
			for _, same := range append(test.same, test.password) {
				if answer := s.Post(t, "/auth/login", "email", address, "password", same); answer.Status != http.StatusOK {
					t.Errorf("%q for %q: %d", same, test.password, answer.Status)
				}
			}
			for _, another := range test.another {
				if answer := s.Post(t, "/auth/login", "email", address, "password", another); answer.Status != http.StatusUnauthorized {
					t.Errorf("%q for %q: %d", another, test.password, answer.Status)
				}
			}
		}
	})
}

// A rejected password comes with the reason, for programs and for people. One that only becomes too short in the form that
// is hashed is a validation error, like one that was typed too short.
func TestGuessablePasswordsAreRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for refused, want := range map[string]string{
			"PASSWORD": "common", "1q2w3e4r": "common", "P@ssw0rd2024!": "common", "dragondragon": "common", "ChesterD0g": "breached",
			"Hopper1906": "personal", "NAVY-grace": "personal", "grace@navy.example": "personal", "sesame 26": "personal",
			"bell\a bell\a": "unsupported_characters",
		} {
			answer := s.Post(t, "/auth/register", "name", "Grace Hopper", "email", "Grace@navy.example", "password", refused, "confirm", refused)
			if answer.Status != http.StatusBadRequest || answer.Code() != "weak_password" || answer.Text("reason") != want ||
				!strings.HasPrefix(answer.Text("detail"), "This password ") {
				t.Errorf("%q: %d %s", refused, answer.Status, answer.Raw)
			}
		}
		composed := strings.Repeat("e\u0301", 4) // eight code points, four after NFC
		answer := s.Post(t, "/auth/register", "name", "Grace", "email", "short@navy.example", "password", composed, "confirm", composed)
		want := []string{"/password too_short: This value must have at least 8 characters."}
		if answer.Status != http.StatusBadRequest || answer.Code() != "validation_failed" || !slices.Equal(answer.Errors(), want) {
			t.Errorf("too short after normalization: %d %s", answer.Status, answer.Raw)
		}
	})
}

// Of many registrations of one address, in every spelling, one succeeds.
func TestRegistrationsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		spellings := []string{"Race@example.com", "race@EXAMPLE.com", "RACE@EXAMPLE.COM", "rAcE@eXaMpLe.CoM"}
		var mu sync.Mutex
		var turn int
		answers := atOnce(60, func() servertest.Answer {
			mu.Lock()
			turn++
			address := spellings[turn%len(spellings)]
			mu.Unlock()
			return s.Register(t, address)
		})
		count := make(map[string]int)
		for _, answer := range answers {
			count[fmt.Sprint(answer.Status, answer.Code())]++
		}
		if count["201"] != 1 || count["400email_taken"] != 59 {
			t.Errorf("answers: %v", count)
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
		address, bystander := s.NewUser(t), s.Login(t, s.NewUser(t))
		sessions := []servertest.Tokens{s.Login(t, address), s.Login(t, address)}
		resetToken := func() string {
			t.Helper()
			if answer := s.Forgot(t, address); answer.Status != http.StatusAccepted {
				t.Fatalf("forgot: %d", answer.Status)
			}
			letter := s.NextEmail(t)
			if letter.To != address {
				t.Fatalf("the letter went to %s", letter.To)
			}
			return s.ResetToken(t, letter)
		}

		older := resetToken()
		current := resetToken()
		parent := sessions[0]
		sessions[0] = s.ExpectLive(t, sessions[0]) // asking changes nothing
		if answer := s.Reset(t, older, "another password"); answer.Status != http.StatusUnauthorized || answer.Code() != "invalid_reset_token" {
			t.Errorf("the older token: %d %s", answer.Status, answer.Raw)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} { // as mail scanners do
			s.Do(t, method, "/reset-password?token="+current, "")
			s.Do(t, method, "/auth/reset-password?token="+current, "")
		}
		for _, refused := range []string{"short", strings.Repeat("a", 129), "bell\a in the middle", "PassWord", address + "!", "Ada, sesame"} {
			if answer := s.Reset(t, current, refused); answer.Status != http.StatusBadRequest {
				t.Errorf("%q: %d", refused, answer.Status)
			}
		}
		if answer := s.Reset(t, current, "an even better horse"); answer.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", answer.Status, answer.Raw)
		}
		for _, session := range append(sessions, parent) { // for the parent there is no grace any more
			s.ExpectDead(t, session)
			if reason := sessionReason(t, s, session); reason != nil {
				t.Errorf("a session that a reset ended was revoked because of %s", *reason)
			}
		}
		s.ExpectLive(t, bystander)
		if letter := s.NextEmail(t); letter.To != address || !strings.Contains(letter.Subject, "password was changed") {
			t.Errorf("the owner was told %q", letter.Subject)
		}
		if answer := s.Reset(t, current, "a third password"); answer.Status != http.StatusUnauthorized {
			t.Errorf("the used token: %d", answer.Status)
		}
		if answer := s.Post(t, "/auth/login", "email", address, "password", servertest.Password); answer.Status != http.StatusUnauthorized {
			t.Errorf("the old password: %d", answer.Status)
		}
		if answer := s.Post(t, "/auth/login", "email", address, "password", "an even better horse"); answer.Status != http.StatusOK {
			t.Errorf("the new password: %d", answer.Status)
		}

		late := resetToken()
		s.Clock.Advance(30 * time.Minute)
		if answer := s.Reset(t, late, "a third password"); answer.Status != http.StatusUnauthorized {
			t.Errorf("the expired token: %d", answer.Status)
		}
	})
}

// A token that is presented many times at once sets one password.
func TestResetsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		s.Forgot(t, address)
		resetToken := s.ResetToken(t, s.NextEmail(t))
		count := make(map[int]int)
		for _, answer := range atOnce(20, func() servertest.Answer { return s.Reset(t, resetToken, "an even better horse") }) {
			count[answer.Status]++
		}
		if count[200] != 1 || count[401] != 19 {
			t.Errorf("answers: %v", count)
		}
		var user auth.User
		if err := s.DB.WithContext(t.Context()).Where("email = ?", address).Take(&user).Error; err != nil || user.Generation != 2 {
			t.Errorf("generation %d, %v", user.Generation, err)
		}
	})
}

// Forgot answers the same for every address; only an account's owner gets a mail, at the stored address.
func TestForgotTellsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		unknown := s.Forgot(t, "nobody@example.com")
		request := s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, strings.ToUpper(address)),
			"Content-Type", asJSON, "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "http", "Origin", "https://evil.example")
		if unknown.Status != http.StatusAccepted || withoutID(unknown) != withoutID(request) {
			t.Errorf("unknown: %d %s\nknown: %d %s", unknown.Status, unknown.Raw, request.Status, request.Raw)
		}
		letter := s.NextEmail(t) // rows are worked on in order: nobody's came first
		if letter.To != address || strings.Contains(letter.Raw, "evil") {
			t.Errorf("a letter to %s:\n%s", letter.To, letter.Raw)
		}
		s.ResetToken(t, letter) // checks where the link points
		if more := s.Emails(); len(more) > 0 {
			t.Errorf("a letter to %s", more[0].To)
		}
	})
}

// A password does not expire.
func TestPasswordsDoNotExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		s.Clock.Advance(5 * 365 * 24 * time.Hour)
		s.ExpectLive(t, s.Login(t, address))
	})
}
