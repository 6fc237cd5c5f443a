package httpapi_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/token"
)

// A client that races itself stays logged in, with one live token; a token older than that ends the session.
func TestRefreshRacesItself(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		first, sibling := s.Login(t, address), s.Login(t, address)

		const racers = 100
		answers := atOnce(racers, func() servertest.Answer { return s.TryRefresh(t, first.Refresh) })
		successors := make(map[string]bool)
		var last servertest.Tokens
		for _, answer := range answers {
			if answer.Status != http.StatusOK {
				t.Fatalf("a racer was refused: %d %s", answer.Status, answer.Raw)
			}
			last = servertest.Tokens{Access: answer.Text("accessToken"), Refresh: answer.Text("refreshToken")}
			successors[last.Refresh] = true
		}
		if len(successors) != 1 {
			t.Fatalf("%d successors of one token", len(successors))
		}

		third := s.Refresh(t, last.Refresh)
		if answer := s.TryRefresh(t, first.Refresh); answer.Status != http.StatusUnauthorized {
			t.Errorf("the grandparent answers %d", answer.Status)
		}
		s.ExpectDead(t, third)
		s.ExpectDead(t, last)
		s.ExpectLive(t, sibling)
		s.Logout(t, third.Refresh) // tells nothing new: the first reason stays
		if reason := sessionReason(t, s, third); reason == nil || *reason != auth.RevokedByReuse {
			t.Errorf("the session was revoked because of %v", reason)
		}
	})
}

// atOnce runs n calls that start together.
func atOnce(n int, call func() servertest.Answer) []servertest.Answer {
	answers, start := make([]servertest.Answer, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			answers[i] = call()
		})
	}
	close(start)
	all.Wait()
	return answers
}

func TestGraceOfRefresh(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)

		t.Run("the parent answers the same successor", func(t *testing.T) {
			first := s.Login(t, address)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(29 * time.Second)
			if again := s.Refresh(t, first.Refresh); again.Refresh != second.Refresh {
				t.Error("the successor differs")
			}
			s.ExpectLive(t, second)
		})
		t.Run("the parent is retired when the grace is over", func(t *testing.T) {
			first := s.Login(t, address)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(30 * time.Second)
			if answer := s.TryRefresh(t, first.Refresh); answer.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", answer.Status)
			}
			s.ExpectDead(t, second)
		})
		t.Run("the parent is retired when its successor was used", func(t *testing.T) {
			first := s.Login(t, address)
			third := s.Refresh(t, s.Refresh(t, first.Refresh).Refresh)
			if answer := s.TryRefresh(t, first.Refresh); answer.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", answer.Status)
			}
			s.ExpectDead(t, third)
		})
		t.Run("revoked is not rotated", func(t *testing.T) {
			first := s.Login(t, address)
			second := s.Refresh(t, first.Refresh)
			s.Logout(t, second.Refresh)
			s.Clock.Advance(time.Second)
			s.ExpectDead(t, first)
			s.ExpectDead(t, second)
			if reason := sessionReason(t, s, first); reason == nil || *reason != auth.RevokedByLogout {
				t.Errorf("the session was revoked because of %v: a benign retry is no reuse", reason)
			}
		})
		t.Run("a token from the future opens nothing", func(t *testing.T) {
			first := s.Login(t, address)
			said, err := token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Decode(first.Refresh)
			if err != nil {
				t.Fatal(err)
			}
			said.Counter += 2 // as after the restore of an older backup
			if answer := s.TryRefresh(t, token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Encode(said)); answer.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", answer.Status)
			}
			s.ExpectDead(t, first)
		})
	})
}

func TestGraceCanBeSwitchedOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{RefreshGrace: -1})
		first := s.Login(t, s.NewUser(t))
		second := s.Refresh(t, first.Refresh)
		if answer := s.TryRefresh(t, first.Refresh); answer.Status != http.StatusUnauthorized {
			t.Errorf("answered %d", answer.Status)
		}
		s.ExpectDead(t, second)
	})
}

func TestSessionsExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)

		idle := s.Login(t, address)
		s.Clock.Advance(336*time.Hour - time.Second)
		idle = s.Refresh(t, idle.Refresh)
		s.Clock.Advance(336 * time.Hour)
		s.ExpectDead(t, idle)

		busy := s.Login(t, address)
		for range 29 {
			s.Clock.Advance(24 * time.Hour)
			busy = s.Refresh(t, busy.Refresh)
		}
		s.Clock.Advance(24*time.Hour - time.Second)
		parent := busy
		busy = s.Refresh(t, busy.Refresh)
		s.Clock.Advance(time.Second)
		s.ExpectDead(t, parent) // no grace beyond the end
		s.ExpectDead(t, busy)
		if reason := sessionReason(t, s, busy); reason != nil {
			t.Errorf("an expired session was revoked because of %s", *reason)
		}
	})
}

func TestAccessTokenExpires(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		s.Clock.Advance(15 * time.Minute)
		if answer := s.Authenticate(t, tokens.Access); answer.Status != http.StatusOK {
			t.Errorf("within the skew: %d", answer.Status)
		}
		s.Clock.Advance(11 * time.Second)
		if answer := s.Authenticate(t, tokens.Access); answer.Status != http.StatusUnauthorized {
			t.Errorf("after the skew: %d", answer.Status)
		}
		s.ExpectLive(t, s.Refresh(t, tokens.Refresh))
	})
}

// A session that nobody refreshed is over for its access token too, should that live longer.
func TestIdleSessionEndsItsAccessToken(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		if err := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Where("counter = 1").Update("idle_expires_at", time.Now().UTC()).Error; err != nil {
			t.Fatal(err)
		}
		s.ExpectDead(t, tokens)
	})
}

// Any token of the session ends it: the live one, a retired one, an expired one.
func TestLogout(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		sibling := s.Login(t, address)

		retired := s.Login(t, address)
		live := s.Refresh(t, s.Refresh(t, retired.Refresh).Refresh)
		for range 2 {
			if answer := s.Logout(t, retired.Refresh); answer.Status != http.StatusOK {
				t.Errorf("a retired token: %d %s", answer.Status, answer.Raw)
			}
		}
		s.ExpectDead(t, live)
		sibling = s.ExpectLive(t, sibling)

		for _, foreign := range []string{"", "x", sibling.Access, sibling.Refresh + "A", sibling.Refresh[1:],
			token.NewRefreshCodec([]secret.Secret{secret.Secret("another secret of thirty-two bytes")}).Encode(token.Refresh{Session: uuid.New(), Counter: 1})} {
			if answer := s.Logout(t, foreign); answer.Status != http.StatusBadRequest || answer.Code() != "invalid_refresh_token" {
				t.Errorf("%q: %d %s", foreign, answer.Status, answer.Raw)
			}
		}
		s.Clock.Advance(1000 * time.Hour)
		if answer := s.Logout(t, sibling.Refresh); answer.Status != http.StatusOK {
			t.Errorf("an expired token: %d %s", answer.Status, answer.Raw)
		}
	})
}

// Disabling is felt on the next call, and undone by enabling: it ends no session by itself.
func TestDisabledUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		parent := s.Login(t, address)
		tokens := s.Refresh(t, parent.Refresh)
		disable := func(at any) {
			t.Helper()
			if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", address).Update("disabled_at", at).Error; err != nil {
				t.Fatal(err)
			}
		}
		disable(time.Now().UTC())
		s.ExpectDead(t, tokens)
		s.ExpectDead(t, parent) // no grace
		s.Forgot(t, address)
		known := s.NewUser(t)
		s.Forgot(t, known) // rows are worked on in order
		if letter := s.NextEmail(t); letter.To != known {
			t.Errorf("a letter to the disabled user")
		}
		wrong := s.Post(t, "/auth/login", "email", "nobody@example.com", "password", servertest.Password)
		if answer := s.Post(t, "/auth/login", "email", address, "password", servertest.Password); withoutID(answer) != withoutID(wrong) {
			t.Errorf("a disabled user is told apart: %s", answer.Raw)
		}
		disable(nil)
		s.ExpectLive(t, tokens)
	})
}

// sessionReason is why the session of a refresh token was revoked, nil if it was not.
func sessionReason(t *testing.T, s *servertest.Server, tokens servertest.Tokens) *auth.RevokedReason {
	t.Helper()
	said, err := token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Decode(tokens.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	var session auth.Session
	if err := s.DB.WithContext(t.Context()).Where("id = ?", said.Session).Take(&session).Error; err != nil {
		t.Fatal(err)
	}
	return session.RevokedReason
}
