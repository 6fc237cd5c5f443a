package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// The networks of the tests of limits on codes.
const (
	ownerIP    = "203.0.113.7"
	strangerIP = "198.51.100.1"
)

// codeLimits is a server with rate limits, and a user with an authenticator app who is known in the
// network of ownerIP.
type codeLimits struct {
	*servertest.Server

	email string
	app   *servertest.App
}

func newCodeLimits(t *testing.T, engine databasetest.Engine) codeLimits {
	t.Helper()
	s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
	s.Clock.Stop()
	email := s.NewUser(t)
	if _, err := s.Auth.VerifyUser(t.Context(), userID(t, s, email)); err != nil {
		t.Fatal(err)
	}
	login := servertest.Call{IP: ownerIP, Path: "/auth/login"}.Send(t, s, "email", email, "password", servertest.Password)
	return codeLimits{s, email, s.AddApp(t, tokensOf(t, login).Access)}
}

// half logs in with the password, which must be right.
func (l codeLimits) half(t *testing.T, ip string) string {
	t.Helper()
	response := servertest.Call{IP: ip, Path: "/auth/login"}.
		Send(t, l.Server, "email", l.email, "password", servertest.Password)
	if response.Code() != "second_factor_required" {
		t.Fatalf("login from %s: %d %s", ip, response.Status, response.Raw)
	}
	return response.Text("loginToken")
}

func (l codeLimits) complete(t *testing.T, ip, loginToken, code string) servertest.Response {
	t.Helper()
	return servertest.Call{IP: ip, Path: "/auth/login/second-factor"}.
		Send(t, l.Server, "loginToken", loginToken, "code", code)
}

// A stranger who knows the password gets five guesses in 15 minutes, with however many login
// tokens, from however many networks. The owner gets an email, and is not locked out of the known
// network.
func TestLimitOfCodes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		l := newCodeLimits(t, engine)
		ips := []string{strangerIP, "198.51.100.2", "192.0.2.3"}
		for guess := range 8 {
			ip := ips[guess%len(ips)]
			response := l.complete(t, ip, l.half(t, ip), l.app.WrongCode())
			want := http.StatusUnauthorized
			if guess >= 5 {
				want = http.StatusTooManyRequests
			}
			if response.Status != want {
				t.Errorf("guess %d: %d %s", guess+1, response.Status, response.Raw)
			}
		}
		if subjects := l.Inbox(t).Subjects(l.email); !slices.Contains(subjects, "Someone may know your Sesame password") {
			t.Errorf("emails: %q", subjects)
		}
		// A right code is refused like a wrong one, without being checked.
		code := l.app.Code(t)
		if response := l.complete(t, strangerIP, l.half(t, strangerIP), code); response.Status != http.StatusTooManyRequests {
			t.Errorf("a right code after five wrong ones: %d", response.Status)
		}
		tokensOf(t, l.complete(t, ownerIP, l.half(t, ownerIP), code))
		// The login of the owner gives the stranger no new guess. Time does.
		if response := l.complete(t, strangerIP, l.half(t, strangerIP), l.app.WrongCode()); response.Status != 429 {
			t.Errorf("after a login of the owner: %d", response.Status)
		}
		l.Clock.Advance(3 * time.Minute)
		if response := l.complete(t, strangerIP, l.half(t, strangerIP), l.app.WrongCode()); response.Status != 401 {
			t.Errorf("after a fifth of 15 minutes: %d %s", response.Status, response.Raw)
		}
	})
}

// The known network has a budget of its own. A reset lifts both.
func TestLimitOfCodesInAKnownNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		l := newCodeLimits(t, engine)
		guess := func(ip string) int {
			t.Helper()
			return l.complete(t, ip, l.half(t, ip), l.app.WrongCode()).Status
		}
		for range 5 {
			if status := guess(ownerIP); status != http.StatusUnauthorized {
				t.Fatalf("a guess: %d", status)
			}
		}
		if status := guess(ownerIP); status != http.StatusTooManyRequests {
			t.Errorf("the sixth guess in the known network: %d", status)
		}
		for range 5 {
			if status := guess(strangerIP); status != http.StatusUnauthorized {
				t.Errorf("a guess from elsewhere: %d", status)
			}
		}
		if status := guess(strangerIP); status != http.StatusTooManyRequests {
			t.Errorf("the sixth guess from elsewhere: %d", status)
		}
		l.ForgotPassword(t, l.email)
		if response := l.ResetPassword(t, l.NextResetToken(t, l.email), servertest.Password); response.Status != 200 {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		tokensOf(t, l.complete(t, ownerIP, l.half(t, ownerIP), l.app.Code(t))) // the network is known again
		for _, ip := range []string{ownerIP, strangerIP} {
			if status := guess(ip); status != http.StatusUnauthorized {
				t.Errorf("a guess from %s after a reset: %d", ip, status)
			}
		}
	})
}

// After 100 wrong codes in a row, only recovery codes work, until a full login or a reset. Wrong
// passwords do not count, nor do codes of other users.
func TestOnlyRecoveryCodesAfterManyFailures(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email, app, _ := newUserWithApp(t, s)
		failures := func(n int) {
			t.Helper()
			token := s.LoginToken(t, email)
			for range n {
				if response := s.CompleteLogin(t, token, app.WrongCode()); response.Code() != "invalid_code" {
					t.Fatalf("a wrong code: %d %s", response.Status, response.Raw)
				}
			}
		}
		refused := func(name string) {
			t.Helper()
			s.Clock.Advance(30 * time.Second)
			response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
			if !slices.Equal(response.Texts("factors"), []string{"recovery_code"}) {
				t.Errorf("%s: %s", name, response.Raw)
			}
			if response := s.CompleteLogin(t, response.Text("loginToken"), app.Code(t)); response.Code() != "invalid_code" {
				t.Errorf("%s: a right code: %d %s", name, response.Status, response.Raw)
			}
		}
		failures(99)
		s.LoginWith(t, email, app.Code(t))
		failures(100)
		refused("after 100 failures")
		s.LoginWith(t, email, app.RecoveryCodes[0])
		s.LoginWith(t, email, app.Code(t))
		failures(100)
		refused("after 100 failures again")
		s.ForgotPassword(t, email)
		if response := s.ResetPassword(t, s.NextResetToken(t, email), servertest.Password); response.Status != 200 {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		s.Clock.Advance(30 * time.Second)
		s.LoginWith(t, email, app.Code(t))
	})
}

// The right password alone refunds nothing: an attacker who knows it still pays for each attempt.
// The whole login refunds both steps, on any instance.
func TestHalfALoginIsNotRefunded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		l := newCodeLimits(t, engine)
		other := l.StartAnother(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
		other.Clock.Stop()
		login := servertest.Call{IP: strangerIP, Path: "/auth/login"}
		for range 10 { // the budget of an email and a network
			l.half(t, strangerIP)
		}
		response := login.Send(t, l.Server, "email", l.email, "password", servertest.Password)
		if response.Status != http.StatusTooManyRequests {
			t.Errorf("the eleventh half login: %d %s", response.Status, response.Raw)
		}
		for i := range 20 { // more than the budget of the pair, and what refills meanwhile
			l.Clock.Advance(30 * time.Second)
			other.Clock.Advance(30 * time.Second)
			if i == 0 {
				tokensOf(t, l.complete(t, ownerIP, l.half(t, ownerIP), l.app.RecoveryCodes[0]))
				continue
			}
			token := l.half(t, ownerIP)
			response := servertest.Call{IP: ownerIP, Path: "/auth/login/second-factor"}.
				Send(t, other, "loginToken", token, "code", l.app.Code(t))
			if response.Status != http.StatusOK {
				t.Fatalf("login %d of the owner: %d %s", i, response.Status, response.Raw)
			}
		}
	})
}

// The network of half a login is not known afterwards, nor is that of a wrong code.
func TestHalfALoginRemembersNoNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		l := newCodeLimits(t, engine)
		count := func() (rows int64) {
			t.Helper()
			if err := l.DB.WithContext(t.Context()).Table("known_networks").Count(&rows).Error; err != nil {
				t.Fatal(err)
			}
			return rows
		}
		before := count()
		token := l.half(t, strangerIP)
		l.complete(t, strangerIP, token, l.app.WrongCode())
		if after := count(); after != before {
			t.Errorf("%d known networks, before %d", after, before)
		}
		l.complete(t, strangerIP, token, l.app.Code(t))
		if after := count(); after != before+1 {
			t.Errorf("after the whole login: %d known networks, before %d", after, before)
		}
	})
}

// No event contains a code.
func TestCodesAreNotRecorded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, _ := newUserWithApp(t, s)
		code := app.WrongCode()
		s.CompleteLogin(t, s.LoginToken(t, email), code)
		s.LoginWith(t, email, app.Code(t))
		var events []string
		for _, event := range recorded(t, s) {
			events = append(events, fmt.Sprintf("%s %s %s", event.Kind, event.Outcome, event.Detail))
		}
		for _, want := range []string{
			"second-factor-require success ", "second-factor failure wrong code", "login success with an authenticator app",
		} {
			if !slices.Contains(events, want) {
				t.Errorf("no event %q among %q", want, events)
			}
		}
		if all := strings.Join(events, "\n"); strings.Contains(all, code) {
			t.Errorf("an event contains the code %s:\n%s", code, all)
		}
	})
}

// A user changes factors 30 times a day. What failed does not count, neither as a change nor,
// without a secret, as a wrong code.
func TestLimitOfFactorChanges(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Throttle: true})
		s.Clock.Stop()
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		for range 35 {
			failed := s.As(t, tokens.Access, http.MethodDelete, "/auth/factors/totp")
			expectCode(t, failed, http.StatusNotFound, "not_found")
			failed = s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp/confirm", "code", "000000")
			expectCode(t, failed, http.StatusNotFound, "not_found")
		}
		s.AddApp(t, tokens.Access)
		tokens = s.Refresh(t, tokens.Refresh)
		for range 29 {
			expectStatus(t, s.As(t, tokens.Access, http.MethodPost, "/auth/recovery-codes"), http.StatusOK)
		}
		for _, id := range []string{
			"renewRecoveryCodes", "confirmTOTP", "removeTOTP", "finishPasskeyRegistration", "deletePasskey",
		} {
			call := sensitive[id]
			refused := s.As(t, tokens.Access, call.method, call.path, call.members...)
			expectCode(t, refused, http.StatusTooManyRequests, "too_many_requests")
		}
	})
}
