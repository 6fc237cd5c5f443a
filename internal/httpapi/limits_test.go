package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
// A password reset resets the limit.
func TestLimitPerEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const home = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		var responses []servertest.Response
		for i := range 150 {
			responses = append(responses, loginFrom(t, s, fmt.Sprintf("192.0.2.%d", i), email, wrong))
		}
		if count := countStatuses(responses); count[401] != 100 || count[429] != 50 {
			t.Errorf("statuses: %v", count)
		}
		expectThrottled(t, loginFrom(t, s, "203.0.113.1", email, servertest.Password), "3600")
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)

		s.ForgotPassword(t, email)
		expectStatus(t, s.ResetPassword(t, s.ResetToken(t, s.NextEmail(t)), servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, "203.0.113.2", email, wrong), 401)
		s.Clock.Advance(180*24*time.Hour - time.Second)
		for i := range 100 {
			expectStatus(t, loginFrom(t, s, fmt.Sprintf("192.0.2.%d", i), email, wrong), 401)
		}
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		s.Clock.Advance(time.Second)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 429) // no longer known
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

// The operations that hash a password share one limit for each network.
func TestLimitPerNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		s.ForgotPassword(t, email)
		token := s.ResetToken(t, s.NextEmail(t))
		for range 29 { // the 30th is the registration of the user
			expectStatus(t, s.ResetPassword(t, "x", wrong), 401)
		}
		throttled := []func() servertest.Response{
			func() servertest.Response { return s.ResetPassword(t, token, servertest.Password) },
			func() servertest.Response { return s.Register(t, "new@example.com") },
			func() servertest.Response {
				return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
			},
		}
		for _, call := range throttled {
			expectThrottled(t, call(), "2")
		}
		s.Clock.Advance(2 * time.Second)
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200) // refunded
		expectStatus(t, s.Register(t, "new@example.com"), 201)               // not refunded
		expectStatus(t, s.Register(t, "newer@example.com"), 429)
		expectStatus(t, loginFrom(t, s, "192.0.2.1", email, servertest.Password), 200) // another network
	})
}

// A network that requests too many emails gets 429. An email that received too many gets no more,
// and the response does not show it.
func TestResetEmailLimits(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email, other, minutely := s.NewUser(t), s.NewUser(t), s.NewUser(t)
		forgot := func(client int, email string) servertest.Response {
			return s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, email),
				"Content-Type", asJSON, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", client))
		}
		for i := range 100 {
			expectStatus(t, forgot(200+i/10, minutely), 202)
		}
		expectStatus(t, forgot(250, email), 202)
		to := []string{s.NextEmail(t).To, s.NextEmail(t).To} // messages are sent in order
		if to[0] != minutely || to[1] != email {
			t.Errorf("100 requests in a minute: messages to %v", to)
		}
		s.Clock.Advance(24 * time.Hour)
		for day := range 2 {
			for minute := range 8 { // five messages a day are sent
				for i := range 20 {
					expectStatus(t, forgot(day*100+minute*10+i/2, email), 202)
				}
				s.Clock.Advance(time.Minute)
			}
			s.Clock.Advance(24 * time.Hour)
		}
		expectStatus(t, forgot(250, other), 202)
		messages := 0
		for s.NextEmail(t).To == email {
			messages++
		}
		if messages != 10 {
			t.Errorf("%d messages in two days", messages)
		}
		for range 9 {
			expectStatus(t, forgot(250, "nobody@example.com"), 202)
		}
		expectThrottled(t, forgot(250, "nobody@example.com"), "360")
		s.Clock.Advance(6 * time.Minute)
		expectStatus(t, forgot(250, "nobody@example.com"), 202)
	})
}
