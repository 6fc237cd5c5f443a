package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// limited starts a server with rate limits and a stopped clock. The test is its trusted proxy.
func limited(t *testing.T, engine databasetest.Engine) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
	s.Clock.Stop()
	return s
}

const wrong = "a wrong password"

func loginFrom(t *testing.T, s *servertest.Server, client, email, password string) servertest.Response {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
	return s.Do(t, http.MethodPost, "/auth/login", body, "Content-Type", asJSON, "X-Forwarded-For", client)
}

func expectStatus(t *testing.T, response servertest.Response, status int) {
	t.Helper()
	if response.Status != status {
		t.Errorf("got %d %s, want %d", response.Status, response.Raw, status)
	}
}

func expectThrottled(t *testing.T, response servertest.Response, retryAfter string) {
	t.Helper()
	if response.Status != http.StatusTooManyRequests || response.Code() != "too_many_requests" {
		t.Errorf("got %d %s, want 429", response.Status, response.Raw)
	}
	if got := response.Header.Get("Retry-After"); got != retryAfter {
		t.Errorf("Retry-After is %q, want %q", got, retryAfter)
	}
}

func countStatuses(responses []servertest.Response) map[int]int {
	count := make(map[int]int)
	for _, response := range responses {
		count[response.Status]++
	}
	return count
}

// Parallel guesses cannot exceed the limit: only a 401 had its password hashed. On a slow machine
// or with the race detector, some guesses wait longer than an operation may take, and return 503.
func TestParallelGuesses(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		responses := atOnce(1000, func() servertest.Response { return loginFrom(t, s, "192.0.2.1", email, wrong) })
		count := countStatuses(responses)
		if count[401] == 0 || count[401] > 10 || count[401]+count[429]+count[503] != 1000 {
			t.Errorf("statuses: %v", count)
		}
		restarted := s.StartAnother(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
		for left := 10 - count[401]; ; left-- { // a guess that returned 503 may have counted
			response := loginFrom(t, restarted, "192.0.2.1", email, wrong)
			if response.Status == http.StatusTooManyRequests {
				break
			}
			if response.Status != http.StatusUnauthorized || left == 0 {
				t.Fatalf("got %d after %v", response.Status, count)
			}
		}
		expectStatus(t, loginFrom(t, restarted, "192.0.2.1", email, servertest.Password), 429)
	})
}

func TestSuccessfulLoginsAreNotLimited(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		responses := atOnce(50, func() (response servertest.Response) {
			for range 5 { // on a busy machine some wait too long for their hash; this does not count either
				response = loginFrom(t, s, "192.0.2.1", email, servertest.Password)
				if response.Status != http.StatusServiceUnavailable {
					break
				}
			}
			return response
		})
		if count := countStatuses(responses); count[200] != 50 {
			t.Errorf("statuses: %v", count)
		}
	})
}

// A throttled response does not reveal whether the account exists, and its Retry-After is exact.
func TestLimitPerEmailAndNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		known, disabled, throttled := s.NewUser(t), s.NewUser(t), make(map[string]bool)
		users := s.DB.WithContext(t.Context()).Model(&auth.User{})
		if err := users.Where("email = ?", disabled).UpdateColumn("disabled_at", s.Clock.Now()).Error; err != nil {
			t.Fatal(err)
		}
		for i, email := range []string{known, disabled, "nobody@example.com", "not an email"} {
			client := fmt.Sprintf("192.0.2.%d", i)
			for range 10 {
				expectStatus(t, loginFrom(t, s, client, email, wrong), 401)
			}
			response := loginFrom(t, s, client, email, wrong)
			expectThrottled(t, response, "90")
			throttled[withoutID(response)] = true
			s.Clock.Advance(89*time.Second + time.Millisecond)
			expectThrottled(t, loginFrom(t, s, client, strings.ToUpper(email), wrong), "1")
			s.Clock.Advance(999 * time.Millisecond)
			expectStatus(t, loginFrom(t, s, client, email, wrong), 401)
			expectStatus(t, loginFrom(t, s, client, email, wrong), 429)
		}
		if len(throttled) != 1 {
			t.Errorf("the responses differ: %v", throttled)
		}
		expectStatus(t, loginFrom(t, s, "192.0.2.200", known, servertest.Password), 200)
	})
}

// Other spellings of the email, other IP addresses of an IPv6 /64 and untrusted headers allow no
// more attempts.
func TestSpellingsShareABudget(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, behindProxy := range []bool{true, false} {
			s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: behindProxy})
			s.Clock.Stop()
			email := s.NewUser(t)
			spellings := []string{
				email,
				strings.ToUpper(email),
				strings.Replace(email, "example", "EXAMPLE", 1),
				strings.Replace(email, "user", "uSeR", 1),
			}
			var responses []servertest.Response
			for i := range 200 {
				client := fmt.Sprintf("2001:db8:1:2::%x", i)
				if !behindProxy {
					client = fmt.Sprintf("192.0.2.%d", i)
				}
				responses = append(responses, loginFrom(t, s, client, spellings[i%len(spellings)], wrong))
			}
			if count := countStatuses(responses); count[401] != 10 || count[429] != 190 {
				t.Errorf("behind a proxy %v: %v", behindProxy, count)
			}
		}
	})
}

// Guesses from other networks do not lock out the user on a network that they have logged in from.
// A password reset lifts the limit.
func TestLimitPerEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const home = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		guess := func() map[int]int {
			var responses []servertest.Response
			for i := range 150 {
				responses = append(responses, loginFrom(t, s, fmt.Sprintf("192.0.%d.1", i), email, wrong))
			}
			return countStatuses(responses)
		}
		if count := guess(); count[401] != 100 || count[429] != 50 {
			t.Errorf("statuses: %v", count)
		}
		expectThrottled(t, loginFrom(t, s, "203.0.113.1", email, servertest.Password), "3600")
		expectMetric(t, s, `sesame_throttled_total{limit="logins per email"}`, 51)
		if log := s.Log.String(); strings.Count(log, "locked out after 100 failed logins") != 1 {
			t.Errorf("the log does not say once that the user is locked out:\n%s", log)
		}
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)

		resetFrom(t, s, "203.0.113.1", email)
		expectStatus(t, loginFrom(t, s, "203.0.113.2", email, servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		s.Clock.Advance(180*24*time.Hour - time.Second)
		if count := guess(); count[401] != 100 {
			t.Errorf("statuses after half a year: %v", count)
		}
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		s.Clock.Advance(time.Second)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 429) // no longer known
	})
}

// A new password makes every known network unknown, except the one that the user reset it from: an
// attacker may have registered the email first, and logged in.
func TestNewPasswordForgetsKnownNetworks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const attacker, home = "198.51.100.1", "203.0.113.1"
		guess := func() {
			t.Helper()
			for i := range 100 {
				expectStatus(t, loginFrom(t, s, fmt.Sprintf("192.0.%d.1", i), email, wrong), 401)
			}
		}
		expectStatus(t, loginFrom(t, s, attacker, email, servertest.Password), 200)
		resetFrom(t, s, home, email)
		guess()
		expectStatus(t, loginFrom(t, s, attacker, email, wrong), 429)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)

		user, err := s.Auth.FindUser(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Auth.SetPassword(t.Context(), user.ID, servertest.Password); err != nil {
			t.Fatal(err)
		}
		guess()
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 429)
	})
}

// A network stays known for half a year after the last login from it, not after the first.
func TestKnownNetworkIsRenewed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const home = "198.51.100.1"
		for range 3 {
			expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
			s.Clock.Advance(100 * 24 * time.Hour)
		}
		for i := range 100 {
			expectStatus(t, loginFrom(t, s, fmt.Sprintf("192.0.%d.1", i), email, wrong), 401)
		}
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
	})
}

// resetFrom resets the password to the same one.
func resetFrom(t *testing.T, s *servertest.Server, client, email string) {
	t.Helper()
	expectStatus(t, forgotFrom(t, s, client, email), 202)
	expectStatus(t, useTokenFrom(t, s, client, s.NextResetToken(t, email)), 200)
}

func useTokenFrom(t *testing.T, s *servertest.Server, client, token string) servertest.Response {
	t.Helper()
	return s.Do(t, http.MethodPost, "/auth/reset-password?token="+token,
		fmt.Sprintf(`{"password":%q}`, servertest.Password), "Content-Type", asJSON, "X-Forwarded-For", client)
}

func forgotFrom(t *testing.T, s *servertest.Server, client, email string) servertest.Response {
	t.Helper()
	return s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, email),
		"Content-Type", asJSON, "X-Forwarded-For", client)
}

// Somebody in a network that the user has logged in from can make 100 wrong guesses there (NIST SP
// 800-63B-4, section 3.2.2). This does not lock the user out of other networks, and a reset lifts
// it.
func TestLimitPerKnownNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const home, work = "198.51.100.1", "203.0.113.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, work, email, servertest.Password), 200)
		guesses := 0
		for range 30 {
			for loginFrom(t, s, home, email, wrong).Status == 401 {
				guesses++
			}
			s.Clock.Advance(time.Minute)
			for loginFrom(t, s, home, email, wrong).Status == 401 {
				guesses++
			}
			s.Clock.Advance(14 * time.Minute)
		}
		if guesses != 107 { // 100, and one an hour
			t.Errorf("%d guesses from home", guesses)
		}
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 429)
		expectStatus(t, loginFrom(t, s, work, email, servertest.Password), 200)
		resetFrom(t, s, work, email)
		for range 2 { // the second time, it is known again
			expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		}
	})
}

// While somebody in a shared network tries many emails and passwords, the users who have logged in
// from it before can log in and reset their password. Others have to wait, or reset their password.
func TestFloodInASharedNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		known, unknown := s.NewUser(t), s.NewUser(t)
		const shared = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, shared, known, servertest.Password), 200)
		for i := range 20 {
			expectStatus(t, loginFrom(t, s, shared, fmt.Sprintf("%d@example.com", i), wrong), 401)
			forgotFrom(t, s, shared, fmt.Sprintf("%d@example.com", i))
		}
		for i := range 20 { // as many passwords as the network may try, and more
			loginFrom(t, s, shared, fmt.Sprintf("%d@example.com", i), wrong)
		}
		expectStatus(t, loginFrom(t, s, shared, unknown, servertest.Password), 429)
		expectStatus(t, loginFrom(t, s, shared, known, servertest.Password), 200)
		expectStatus(t, forgotFrom(t, s, shared, unknown), 429)
		resetFrom(t, s, shared, known)
		expectStatus(t, loginFrom(t, s, shared, known, servertest.Password), 200)

		expectStatus(t, forgotFrom(t, s, "203.0.113.1", unknown), 202)
		expectStatus(t, useTokenFrom(t, s, shared, s.NextResetToken(t, unknown)), 200)
		expectStatus(t, loginFrom(t, s, shared, unknown, servertest.Password), 200)
	})
}

// An attacker with many networks next to each other has ten times the attempts of one network.
func TestWideNetworks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		for _, neighbors := range []string{"2001:db8:1:%x::1", "192.0.2.%d"} {
			var responses []servertest.Response
			for i := range 256 {
				client := fmt.Sprintf(neighbors, i)
				responses = append(responses, loginFrom(t, s, client, fmt.Sprintf("%d@example.com", i), wrong))
			}
			if count := countStatuses(responses); count[401] != 200 || count[429] != 56 {
				t.Errorf("one guess for each email from %s: %v", neighbors, count)
			}
			responses = nil
			for i := range 256 {
				responses = append(responses, forgotFrom(t, s, fmt.Sprintf(neighbors, i), "nobody@example.com"))
			}
			if count := countStatuses(responses); count[202] != 100 {
				t.Errorf("reset requests from %s: %v", neighbors, count)
			}
		}
		email := s.NewUser(t)
		for _, other := range []string{"2001:db8:2::1", "192.0.3.1"} {
			expectStatus(t, loginFrom(t, s, other, email, servertest.Password), 200)
		}
		throttled := 0
		for _, event := range recorded(t, s) {
			if event.Kind == audit.Login && event.Outcome == audit.Throttled {
				throttled++
			}
		}
		if throttled != 2 { // one for each budget that was spent
			t.Errorf("%d events of throttled logins from two wide networks, want 2", throttled)
		}
	})
}

// A network can register 200 accounts a day.
func TestLimitOfRegistrations(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		register := func(client string, i int) servertest.Response {
			body := fmt.Sprintf(`{"name":"Ada","email":"%[1]d@example.com","password":%[2]q,"confirm":%[2]q}`,
				i, servertest.Password)
			return s.Do(t, http.MethodPost, "/auth/register", body, "Content-Type", asJSON, "X-Forwarded-For", client)
		}
		for i := range 200 {
			expectStatus(t, register("192.0.2.1", i), 201)
			s.Clock.Advance(2 * time.Second) // the limit for each minute
		}
		expectThrottled(t, register("192.0.2.1", 200), "32") // one every 432 s, of which 400 have passed
		expectStatus(t, register("192.0.2.2", 200), 201)
		s.Clock.Advance(32 * time.Second)
		expectStatus(t, register("192.0.2.1", 201), 201)
	})
}

// A network can try 20 emails. The 21st is refused, but another attempt with the first is not.
func TestLimitOfEmailsPerNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		for i := range 20 {
			expectStatus(t, loginFrom(t, s, "192.0.2.1", fmt.Sprintf("%d@example.com", i), wrong), 401)
		}
		expectThrottled(t, loginFrom(t, s, "192.0.2.1", "20@example.com", wrong), "45")
		expectStatus(t, loginFrom(t, s, "192.0.2.1", "0@example.com", wrong), 401)
		s.Clock.Advance(45 * time.Second)
		expectStatus(t, loginFrom(t, s, "192.0.2.1", "20@example.com", wrong), 401)
		expectStatus(t, loginFrom(t, s, "192.0.2.1", "21@example.com", wrong), 429)
	})
}

// The operations that hash a password share one limit for each network. A valid reset token and the
// users who have logged in from the network are exempt.
func TestLimitPerNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email, other := s.NewUser(t), s.NewUser(t)
		s.ForgotPassword(t, email)
		token := s.ResetToken(t, s.NextEmail(t))
		for range 28 { // the others are the registrations of the users
			expectStatus(t, s.ResetPassword(t, "x", wrong), 401)
		}
		login := func(email string) servertest.Response {
			return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		}
		expectThrottled(t, s.ResetPassword(t, "x", wrong), "2")
		expectThrottled(t, s.Register(t, "new@example.com"), "2")
		expectThrottled(t, login(email), "2")
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200)
		expectStatus(t, login(email), 200)
		s.Clock.Advance(2 * time.Second)
		expectStatus(t, login(other), 200)                     // refunded
		expectStatus(t, s.Register(t, "new@example.com"), 201) // not refunded
		expectStatus(t, s.Register(t, "newer@example.com"), 429)
		expectStatus(t, loginFrom(t, s, "192.0.2.1", email, servertest.Password), 200) // another network
	})
}

// A valid reset token can be tried 30 times in 15 minutes.
func TestLimitOfResets(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		s.ForgotPassword(t, email)
		token := s.ResetToken(t, s.NextEmail(t))
		for range 30 {
			expectStatus(t, s.ResetPassword(t, token, "12345678"), 400)
		}
		expectThrottled(t, s.ResetPassword(t, token, servertest.Password), "30")
		s.Clock.Advance(30 * time.Second)
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200)
	})
}

// A network that requests too many emails gets 429. A mailbox that received too many gets no more,
// and the response does not show it. Strangers cannot use up the emails that the user can request
// from a known network.
func TestResetEmailLimits(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		tagged := strings.Replace(email, "@", "+tag@", 1)
		expectStatus(t, s.Register(t, tagged), 201)
		const home = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		expectSent := func(what string, want int) {
			t.Helper()
			s.WaitForOutbox(t)
			if sent := len(s.Emails()); sent != want {
				t.Errorf("%s: %d messages, want %d", what, sent, want)
			}
		}
		minutely := func(clients ...string) {
			t.Helper()
			for _, client := range clients {
				expectStatus(t, forgotFrom(t, s, client, email), 202)
				s.WaitForOutbox(t) // an email that is being sent must not seem abandoned
				s.Clock.Advance(time.Minute)
			}
		}
		for i := range 10 {
			expectStatus(t, forgotFrom(t, s, fmt.Sprintf("192.0.%d.1", i), email), 202)
			expectStatus(t, forgotFrom(t, s, fmt.Sprintf("192.0.%d.1", i), tagged), 202)
		}
		expectSent("20 requests in a minute", 1)
		s.Clock.Advance(24 * time.Hour)
		minutely(slices.Repeat([]string{"192.0.2.1"}, 8)...)
		expectSent("8 requests of a stranger", 3)
		minutely("192.0.3.1", "192.0.4.1", "192.0.5.1")
		expectSent("3 requests of other strangers", 2)

		for range 2 {
			expectStatus(t, forgotFrom(t, s, home, email), 202)
		}
		expectSent("2 requests of the user", 1)
		s.Clock.Advance(time.Minute)
		minutely(slices.Repeat([]string{home}, 8)...)
		expectSent("8 more requests of the user", 4)

		networks := make([]string, 10)
		for i := range networks {
			networks[i] = fmt.Sprintf("203.0.%d.1", i)
			expectStatus(t, loginFrom(t, s, networks[i], email, servertest.Password), 200)
		}
		minutely(slices.Concat(networks, networks)...)
		expectSent("20 requests from 10 networks of the user", 15) // 20 a day with those from home

		const stranger = "192.0.2.250"
		for range 10 {
			expectStatus(t, forgotFrom(t, s, stranger, "nobody@example.com"), 202)
		}
		expectThrottled(t, forgotFrom(t, s, stranger, "nobody@example.com"), "360")
		s.Clock.Advance(6 * time.Minute)
		expectStatus(t, forgotFrom(t, s, stranger, "nobody@example.com"), 202)
	})
}
