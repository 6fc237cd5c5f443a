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
		email := s.NewUser(t)
		first, sibling := s.Login(t, email), s.Login(t, email)

		const racers = 100
		responses := atOnce(racers, func() servertest.Answer { return s.TryRefresh(t, first.Refresh) })
		successors := make(map[string]bool)
		var last servertest.Tokens
		for _, response := range responses {
			if response.Status != http.StatusOK {
				t.Fatalf("a racer was refused: %d %s", response.Status, response.Raw)
			}
			last = servertest.Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
			successors[last.Refresh] = true
		}
		if len(successors) != 1 {
			t.Fatalf("%d successors of one token", len(successors))
		}

		third := s.Refresh(t, last.Refresh)
		if response := s.TryRefresh(t, first.Refresh); response.Status != http.StatusUnauthorized {
			t.Errorf("the grandparent responses %d", response.Status)
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
	responses, start := make([]servertest.Answer, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			responses[i] = call()
		})
	}
	close(start)
	all.Wait()
	return responses
}

func TestRefreshGrace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)

		t.Run("the parent responses the same successor", func(t *testing.T) {
			first := s.Login(t, email)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(29 * time.Second)
			if again := s.Refresh(t, first.Refresh); again.Refresh != second.Refresh {
				t.Error("the successor differs")
			}
			s.ExpectLive(t, second)
		})
		t.Run("the parent is retired when the grace is over", func(t *testing.T) {
			first := s.Login(t, email)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(30 * time.Second)
			if response := s.TryRefresh(t, first.Refresh); response.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", response.Status)
			}
			s.ExpectDead(t, second)
		})
		t.Run("the parent is retired when its successor was used", func(t *testing.T) {
			first := s.Login(t, email)
			third := s.Refresh(t, s.Refresh(t, first.Refresh).Refresh)
			if response := s.TryRefresh(t, first.Refresh); response.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", response.Status)
			}
			s.ExpectDead(t, third)
		})
		t.Run("revoked is not rotated", func(t *testing.T) {
			first := s.Login(t, email)
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
			first := s.Login(t, email)
			said, err := token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Decode(first.Refresh)
			if err != nil {
				t.Fatal(err)
			}
			said.Counter += 2 // as after the restore of an older backup
			if response := s.TryRefresh(t, token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Encode(said)); response.Status != http.StatusUnauthorized {
				t.Errorf("answered %d", response.Status)
			}
			s.ExpectDead(t, first)
		})
	})
}

func TestRefreshGraceOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{RefreshGrace: -1})
		first := s.Login(t, s.NewUser(t))
		second := s.Refresh(t, first.Refresh)
		if response := s.TryRefresh(t, first.Refresh); response.Status != http.StatusUnauthorized {
			t.Errorf("answered %d", response.Status)
		}
		s.ExpectDead(t, second)
	})
}

func TestSessionsExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)

		idle := s.Login(t, email)
		s.Clock.Advance(336*time.Hour - time.Second)
		idle = s.Refresh(t, idle.Refresh)
		s.Clock.Advance(336 * time.Hour)
		s.ExpectDead(t, idle)

		busy := s.Login(t, email)
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
		if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusOK {
			t.Errorf("within the skew: %d", response.Status)
		}
		s.Clock.Advance(11 * time.Second)
		if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusUnauthorized {
			t.Errorf("after the skew: %d", response.Status)
		}
		s.ExpectLive(t, s.Refresh(t, tokens.Refresh))
	})
}

// A session that nobody refreshed is over for its access token too, should that live longer.
func TestAccessTokenOfIdleSession(t *testing.T) {
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
		email := s.NewUser(t)
		sibling := s.Login(t, email)

		retired := s.Login(t, email)
		live := s.Refresh(t, s.Refresh(t, retired.Refresh).Refresh)
		for range 2 {
			if response := s.Logout(t, retired.Refresh); response.Status != http.StatusOK {
				t.Errorf("a retired token: %d %s", response.Status, response.Raw)
			}
		}
		s.ExpectDead(t, live)
		sibling = s.ExpectLive(t, sibling)

		for _, foreign := range []string{"", "x", sibling.Access, sibling.Refresh + "A", sibling.Refresh[1:],
			token.NewRefreshCodec([]secret.Secret{secret.Secret("another secret of thirty-two bytes")}).Encode(token.Refresh{Session: uuid.New(), Counter: 1})} {
			if response := s.Logout(t, foreign); response.Status != http.StatusBadRequest || response.Code() != "invalid_refresh_token" {
				t.Errorf("%q: %d %s", foreign, response.Status, response.Raw)
			}
		}
		s.Clock.Advance(1000 * time.Hour)
		if response := s.Logout(t, sibling.Refresh); response.Status != http.StatusOK {
			t.Errorf("an expired token: %d %s", response.Status, response.Raw)
		}
	})
}

// Disabling is felt on the next call, and undone by enabling: it ends no session by itself.
func TestDisabledUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		parent := s.Login(t, email)
		tokens := s.Refresh(t, parent.Refresh)
		disable := func(at any) {
			t.Helper()
			if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", email).Update("disabled_at", at).Error; err != nil {
				t.Fatal(err)
			}
		}
		disable(time.Now().UTC())
		s.ExpectDead(t, tokens)
		s.ExpectDead(t, parent) // no grace
		s.Forgot(t, email)
		known := s.NewUser(t)
		s.Forgot(t, known) // rows are worked on in order
		if message := s.NextEmail(t); message.To != known {
			t.Errorf("a message to the disabled user")
		}
		wrong := s.Post(t, "/auth/login", "email", "nobody@example.com", "password", servertest.Password)
		if response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password); withoutID(response) != withoutID(wrong) {
			t.Errorf("a disabled user is told apart: %s", response.Raw)
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
