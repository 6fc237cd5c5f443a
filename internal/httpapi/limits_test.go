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

// limited is a server with limits behind a proxy that the test is, at a time that stands.
func limited(t *testing.T, engine databasetest.Engine) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
	s.Clock.Stop()
	return s
}

const wrong = "a wrong password"

func loginFrom(t *testing.T, s *servertest.Server, client, email, password string) servertest.Answer {
	t.Helper()
	return s.Do(t, http.MethodPost, "/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password), "Content-Type", asJSON, "X-Forwarded-For", client)
}

func expectStatus(t *testing.T, response servertest.Answer, status int) {
	t.Helper()
	if response.Status != status {
		t.Errorf("answered %d %s, want %d", response.Status, response.Raw, status)
	}
}

func expectThrottled(t *testing.T, response servertest.Answer, retryAfter string) {
	t.Helper()
	if got := response.Header.Get("Retry-After"); response.Status != http.StatusTooManyRequests || response.Code() != "too_many_requests" || got != retryAfter {
		t.Errorf("answered %d %s, Retry-After %q, want %q", response.Status, response.Raw, got, retryAfter)
	}
}

func statuses(responses []servertest.Answer) map[int]int {
	count := make(map[int]int)
	for _, response := range responses {
		count[response.Status]++
	}
	return count
}

// Guesses at once do not outrun the limit: each 401 is a hash, each other response is none. On a slow machine, and
// with the race detector, some wait for their turn as long as an operation may take, and are answered 503.
func TestParallelGuesses(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		responses := atOnce(1000, func() servertest.Answer { return loginFrom(t, s, "192.0.2.1", email, wrong) })
		count := statuses(responses)
		if count[401] == 0 || count[401] > 10 || count[401]+count[429]+count[503] != 1000 {
			t.Errorf("responses: %v", count)
		}
		restarted := s.Beside(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
		for left := 10 - count[401]; ; left-- { // what was answered 503 may have been paid for
			response := loginFrom(t, restarted, "192.0.2.1", email, wrong)
			if response.Status == http.StatusTooManyRequests {
				break
			}
			if response.Status != http.StatusUnauthorized || left == 0 {
				t.Fatalf("answered %d after %v", response.Status, count)
			}
		}
		expectStatus(t, loginFrom(t, restarted, "192.0.2.1", email, servertest.Password), 429)
	})
}

func TestSuccessfulLoginsAreNotLimited(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		responses := atOnce(50, func() (response servertest.Answer) {
			for range 5 { // a machine that is busy enough lets some wait too long, which costs nothing either
				if response = loginFrom(t, s, "192.0.2.1", email, servertest.Password); response.Status != http.StatusServiceUnavailable {
					break
				}
			}
			return response
		})
		if count := statuses(responses); count[200] != 50 {
			t.Errorf("responses: %v", count)
		}
	})
}

// Being throttled tells nothing, and the limit of email and network ends when it says.
func TestLimitPerEmailAndNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		known, disabled, throttled := s.NewUser(t), s.NewUser(t), make(map[string]bool)
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", disabled).UpdateColumn("disabled_at", s.Clock.Now()).Error; err != nil {
			t.Fatal(err)
		}
		for i, email := range []string{known, disabled, "nobody@example.com", "no email"} {
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
			t.Errorf("told apart: %v", throttled)
		}
		expectStatus(t, loginFrom(t, s, "192.0.2.200", known, servertest.Password), 200)
	})
}

// No spelling of the email, no email of a network and no header buys another try.
func TestSpellingsShareABudget(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, behindProxy := range []bool{true, false} {
			s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: behindProxy})
			s.Clock.Stop()
			email := s.NewUser(t)
			spellings := []string{email, strings.ToUpper(email), strings.Replace(email, "example", "EXAMPLE", 1), strings.Replace(email, "user", "uSeR", 1)}
			var responses []servertest.Answer
			for i := range 200 {
				client := fmt.Sprintf("2001:db8:1:2::%x", i)
				if !behindProxy {
					client = fmt.Sprintf("192.0.2.%d", i)
				}
				responses = append(responses, loginFrom(t, s, client, spellings[i%len(spellings)], wrong))
			}
			if count := statuses(responses); count[401] != 10 || count[429] != 190 {
				t.Errorf("behind a proxy %v: %v", behindProxy, count)
			}
		}
	})
}

// Guesses from anywhere use up what a stranger may try, not what the owner may; a reset forgives.
func TestLimitPerEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		const home = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)
		var responses []servertest.Answer
		for i := range 150 {
			responses = append(responses, loginFrom(t, s, fmt.Sprintf("192.0.2.%d", i), email, wrong))
		}
		if count := statuses(responses); count[401] != 100 || count[429] != 50 {
			t.Errorf("responses: %v", count)
		}
		expectThrottled(t, loginFrom(t, s, "203.0.113.1", email, servertest.Password), "3600")
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 200)

		s.Forgot(t, email)
		expectStatus(t, s.Reset(t, s.ResetToken(t, s.NextEmail(t)), servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, "203.0.113.2", email, wrong), 401)
		s.Clock.Advance(180*24*time.Hour - time.Second)
		for i := range 100 {
			expectStatus(t, loginFrom(t, s, fmt.Sprintf("192.0.2.%d", i), email, wrong), 401)
		}
		expectStatus(t, loginFrom(t, s, home, email, wrong), 401)
		s.Clock.Advance(time.Second)
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), 429) // not seen for long
	})
}

// One password tried on many addresses: the 21st email is refused, another try on the first is not.
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

// The doors that check or hash a password share a budget: used up at one, it is used up at the others.
func TestLimitPerNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t)
		s.Forgot(t, email)
		token := s.ResetToken(t, s.NextEmail(t))
		for range 29 { // and the registration
			expectStatus(t, s.Reset(t, "x", wrong), 401)
		}
		throttled := []func() servertest.Answer{
			func() servertest.Answer { return s.Reset(t, token, servertest.Password) },
			func() servertest.Answer { return s.Register(t, "new@example.com") },
			func() servertest.Answer {
				return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
			},
		}
		for _, call := range throttled {
			expectThrottled(t, call(), "2")
		}
		s.Clock.Advance(2 * time.Second)
		expectStatus(t, s.Reset(t, token, servertest.Password), 200) // refunded
		expectStatus(t, s.Register(t, "new@example.com"), 201)       // not
		expectStatus(t, s.Register(t, "newer@example.com"), 429)
		expectStatus(t, loginFrom(t, s, "192.0.2.1", email, servertest.Password), 200) // another network
	})
}

// A network is told that it asks too often; an email gets its mails at most so often, and nobody is told.
func TestResetEmailLimits(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email, other, minutely := s.NewUser(t), s.NewUser(t), s.NewUser(t)
		forgot := func(client int, email string) servertest.Answer {
			return s.Do(t, http.MethodPost, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, email), "Content-Type", asJSON, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", client))
		}
		for i := range 100 {
			expectStatus(t, forgot(200+i/10, minutely), 202)
		}
		expectStatus(t, forgot(250, email), 202)
		if to := []string{s.NextEmail(t).To, s.NextEmail(t).To}; to[0] != minutely || to[1] != email { // letters leave in order
			t.Errorf("100 requests at once: letters to %v", to)
		}
		s.Clock.Advance(24 * time.Hour)
		for day := range 2 {
			for minute := range 8 { // five mails a day
				for i := range 20 {
					expectStatus(t, forgot(day*100+minute*10+i/2, email), 202)
				}
				s.Clock.Advance(time.Minute)
			}
			s.Clock.Advance(24 * time.Hour)
		}
		expectStatus(t, forgot(250, other), 202)
		mails := 0
		for s.NextEmail(t).To == email {
			mails++
		}
		if mails != 10 {
			t.Errorf("%d mails in two days", mails)
		}
		for range 9 {
			expectStatus(t, forgot(250, "nobody@example.com"), 202)
		}
		expectThrottled(t, forgot(250, "nobody@example.com"), "360")
		s.Clock.Advance(6 * time.Minute)
		expectStatus(t, forgot(250, "nobody@example.com"), 202)
	})
}
