package httpapi_test

import (
	"flag"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// model is what accounts and sessions should be, kept beside the real ones. Steps of time are chosen so that no
// sum of them comes within a second of a limit: the real clock runs on meanwhile.
type model struct {
	t        testing.TB
	s        *servertest.Server
	accounts []*account
	sessions []*session
}

type account struct {
	email, password string
	resets          int
	generation      int // goes up whenever all sessions end
	disabled        bool
}

type session struct {
	owner           *account
	generation      int      // the owner's when it was opened
	tokens          []string // every refresh token so far; the last one is live
	access          string
	issued, rotated time.Time
	ends, idles     time.Time
	revoked         bool
}

func (m *model) now() time.Time { return m.s.Clock.Now() }

func (m *model) valid(one *session) bool {
	now := m.now()
	return !one.revoked && now.Before(one.ends) && now.Before(one.idles) && one.generation == one.owner.generation && !one.owner.disabled
}

// refresh is what presenting a token must lead to: whether it is granted, and the state after it.
func (m *model) refresh(one *session, at int) bool {
	now, last := m.now(), len(one.tokens)-1
	switch {
	case !m.valid(one):
		return false
	case at == last, at == last-1 && now.Before(one.rotated.Add(30*time.Second)):
		return true
	default:
		one.revoked = true
		return false
	}
}

// granted takes in what a refresh that was granted answered.
func (m *model) granted(rt *rapid.T, one *session, at int, response servertest.Answer) {
	successor := response.Text("refreshToken")
	if at == len(one.tokens)-1 {
		one.tokens = append(one.tokens, successor)
		one.rotated, one.idles = m.now(), m.now().Add(336*time.Hour)
	} else if successor != one.tokens[at+1] {
		rt.Fatalf("a second successor of one token")
	}
	one.access, one.issued = response.Text("accessToken"), m.now()
}

// recent draws one of the last two sessions, so that enough happens to each.
func (m *model) recent(rt *rapid.T) *session {
	if len(m.sessions) == 0 {
		rt.Skip("nobody has logged in")
	}
	return rapid.SampledFrom(m.sessions[max(0, len(m.sessions)-2):]).Draw(rt, "session")
}

// token draws one of the session's: the live one, its parent, its grandparent or any older.
func (m *model) token(rt *rapid.T, one *session) int {
	return len(one.tokens) - 1 - rapid.IntRange(0, min(3, len(one.tokens)-1)).Draw(rt, "how old a token")
}

// present presents a token, which must lead to what the model says.
func (m *model) present(rt *rapid.T, one *session, at int) {
	want := m.refresh(one, at)
	response := m.s.TryRefresh(m.t, one.tokens[at])
	if expect(rt, response, want); want {
		m.granted(rt, one, at, response)
	}
}

func (m *model) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"login": func(rt *rapid.T) {
			owner := rapid.SampledFrom(m.accounts).Draw(rt, "account")
			password := rapid.SampledFrom([]string{owner.password, "not the password"}).Draw(rt, "password")
			response := m.s.Post(m.t, "/auth/login", "email", owner.email, "password", password)
			expect(rt, response, password == owner.password && !owner.disabled)
			if response.Status == http.StatusOK {
				now := m.now()
				m.sessions = append(m.sessions, &session{owner: owner, generation: owner.generation, tokens: []string{response.Text("refreshToken")}, access: response.Text("accessToken"),
					issued: now, rotated: now, ends: now.Add(720 * time.Hour), idles: now.Add(336 * time.Hour)})
			}
		},
		"refresh": func(rt *rapid.T) {
			one := m.recent(rt)
			m.present(rt, one, m.token(rt, one))
		},
		"refresh on and on": func(rt *rapid.T) {
			one := m.recent(rt)
			for range rapid.IntRange(2, 3).Draw(rt, "times") {
				m.present(rt, one, len(one.tokens)-1)
			}
			m.present(rt, one, m.token(rt, one))
		},
		"refresh at once": func(rt *rapid.T) {
			one := m.recent(rt)
			at := m.token(rt, one)
			want := m.refresh(one, at)
			for _, response := range atOnce(3, func() servertest.Answer { return m.s.TryRefresh(m.t, one.tokens[at]) }) {
				if expect(rt, response, want); want {
					m.granted(rt, one, min(at, len(one.tokens)-1), response)
				}
			}
		},
		"refresh with a foreign token": func(rt *rapid.T) {
			one := m.recent(rt)
			text := []byte(one.tokens[len(one.tokens)-1])
			at := rapid.IntRange(0, len(text)-1).Draw(rt, "character")
			text[at] ^= 1
			expect(rt, m.s.TryRefresh(m.t, string(text)), false)
		},
		"logout": func(rt *rapid.T) {
			one := m.recent(rt)
			expect(rt, m.s.Logout(m.t, one.tokens[m.token(rt, one)]), true)
			one.revoked = true
		},
		"logout and refresh at once": func(rt *rapid.T) {
			one := m.recent(rt)
			var refreshed servertest.Answer
			var both sync.WaitGroup
			both.Go(func() { refreshed = m.s.TryRefresh(m.t, one.tokens[len(one.tokens)-1]) })
			both.Go(func() { expect(rt, m.s.Logout(m.t, one.tokens[0]), true) })
			both.Wait()
			one.revoked = true
			if refreshed.Status == http.StatusOK { // it came first, and what it got is dead all the same
				one.tokens, one.access = append(one.tokens, refreshed.Text("refreshToken")), refreshed.Text("accessToken")
			}
		},
		"reset": func(rt *rapid.T) {
			owner := rapid.SampledFrom(m.accounts).Draw(rt, "account")
			if owner.disabled {
				rt.Skip("no message would come")
			}
			m.s.Forgot(m.t, owner.email)
			owner.resets++
			owner.generation++
			owner.password = fmt.Sprintf("password number %d", owner.resets)
			expect(rt, m.s.Reset(m.t, m.s.ResetToken(m.t, m.s.NextEmail(m.t)), owner.password), true)
			m.s.NextEmail(m.t) // tells the owner
			one := m.recent(rt)
			m.present(rt, one, m.token(rt, one))
		},
		"disable or enable": func(rt *rapid.T) {
			owner := rapid.SampledFrom(m.accounts).Draw(rt, "account")
			user, err := m.s.Auth.FindUser(m.t.Context(), owner.email)
			if err != nil {
				rt.Fatal(err)
			}
			change := m.s.Auth.EnableUser
			if owner.disabled = !owner.disabled; owner.disabled {
				change = m.s.Auth.DisableUser
				owner.generation++
			}
			if changed, err := change(m.t.Context(), user.ID); !changed || err != nil {
				rt.Fatal(changed, err)
			}
		},
		"revoke sessions": func(rt *rapid.T) {
			owner := rapid.SampledFrom(m.accounts).Draw(rt, "account")
			user, err := m.s.Auth.FindUser(m.t.Context(), owner.email)
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := m.s.Auth.RevokeSessions(m.t.Context(), user.ID); err != nil {
				rt.Fatal(err)
			}
			owner.generation++
		},
		"wait": func(rt *rapid.T) {
			m.s.Clock.Advance(rapid.SampledFrom([]time.Duration{7 * time.Second, 31 * time.Second, 20 * time.Minute, 121 * time.Hour}).Draw(rt, "how long"))
		},
		// After every step: an access token opens what it should, and nothing else.
		"": func(rt *rapid.T) {
			if len(m.sessions) == 0 {
				return
			}
			one := rapid.SampledFrom(m.sessions).Draw(rt, "whose access token")
			expect(rt, m.s.Authenticate(m.t, one.access), m.valid(one) && m.now().Before(one.issued.Add(15*time.Minute)))
		},
	}
}

func expect(rt *rapid.T, response servertest.Answer, granted bool) {
	if (response.Status == http.StatusOK) != granted || !granted && response.Status != http.StatusUnauthorized {
		rt.Fatalf("answered %d %s, want granted: %v", response.Status, response.Raw, granted)
	}
}

// Whatever happens in whatever order, accounts and sessions are what the model says: at most one live refresh
// token a session, none after a logout, a reset or while disabled, and nobody logged out within the grace.
func TestModelOfSessions(t *testing.T) {
	seeds := map[databasetest.Engine]string{databasetest.SQLite: "200", databasetest.Postgres: "20"}
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	for _, engine := range databasetest.Engines {
		t.Run(string(engine), func(t *testing.T) {
			if !asked {
				if err := flag.Set("rapid.checks", seeds[engine]); err != nil {
					t.Fatal(err)
				}
			}
			s := servertest.Start(t, engine, servertest.Options{})
			rapid.Check(t, func(rt *rapid.T) {
				m := &model{t: t, s: s}
				for range 2 {
					m.accounts = append(m.accounts, &account{email: s.NewUser(t), password: servertest.Password})
				}
				rt.Repeat(m.steps())
			})
		})
	}
}
