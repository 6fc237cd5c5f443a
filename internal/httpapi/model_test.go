package httpapi_test

import (
	"flag"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// model predicts the state of the server's accounts and sessions. The server's clock runs in real
// time between the steps. The "wait" steps are chosen so that no sum of them is within a second of
// a limit.
type model struct {
	t        testing.TB
	s        *servertest.Server
	accounts []*account
	sessions []*session
	first    string // the email of the first account
	emails   int    // how many emails were derived from it
}

type account struct {
	email, password string
	resets          int
	verified        bool // the email
	generation      int  // incremented when all sessions are revoked
	disabled        bool
}

type session struct {
	owner           *account
	generation      int      // the owner's at login
	tokens          []string // every refresh token so far; the last one is current
	access          string
	issued, rotated time.Time
	expires, idles  time.Time // the ends of the lifetime and the idle time
	revoked         bool
}

func (m *model) now() time.Time { return m.s.Clock.Now() }

func (m *model) isValid(one *session) bool {
	now := m.now()
	return !one.revoked && now.Before(one.expires) && now.Before(one.idles) &&
		one.generation == one.owner.generation && !one.owner.disabled
}

// predictRefresh reports whether a refresh with a token of a session must succeed, and revokes the
// session in the model if the token is reused.
func (m *model) predictRefresh(one *session, at int) bool {
	now, last := m.now(), len(one.tokens)-1
	switch {
	case !m.isValid(one):
		return false
	case at == last, at == last-1 && now.Before(one.rotated.Add(30*time.Second)):
		return true
	default:
		one.revoked = true
		return false
	}
}

// addTokens updates the model with the response of a successful refresh.
func (m *model) addTokens(rt *rapid.T, one *session, at int, response servertest.Response) {
	successor := response.Text("refreshToken")
	if at == len(one.tokens)-1 {
		one.tokens = append(one.tokens, successor)
		one.rotated, one.idles = m.now(), m.now().Add(336*time.Hour)
	} else if successor != one.tokens[at+1] {
		rt.Fatalf("a token has two different successors")
	}
	one.access, one.issued = response.Text("accessToken"), m.now()
}

// recentSession draws one of the last two sessions, so that each goes through several steps.
func (m *model) recentSession(rt *rapid.T) *session {
	if len(m.sessions) == 0 {
		rt.Skip("nobody has logged in")
	}
	return rapid.SampledFrom(m.sessions[max(0, len(m.sessions)-2):]).Draw(rt, "session")
}

// tokenOf draws one of the last four refresh tokens of a session, by its index.
func (m *model) tokenOf(rt *rapid.T, one *session) int {
	return len(one.tokens) - 1 - rapid.IntRange(0, min(3, len(one.tokens)-1)).Draw(rt, "how old a token")
}

// refresh sends a refresh token, and checks the response against the model.
func (m *model) refresh(rt *rapid.T, one *session, at int) {
	want := m.predictRefresh(one, at)
	response := m.s.TryRefresh(m.t, one.tokens[at])
	if expect(rt, response, want); want {
		m.addTokens(rt, one, at, response)
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
				m.sessions = append(m.sessions, &session{
					owner:      owner,
					generation: owner.generation,
					tokens:     []string{response.Text("refreshToken")},
					access:     response.Text("accessToken"),
					issued:     now,
					rotated:    now,
					expires:    now.Add(720 * time.Hour),
					idles:      now.Add(336 * time.Hour),
				})
			}
		},
		"refresh": func(rt *rapid.T) {
			one := m.recentSession(rt)
			m.refresh(rt, one, m.tokenOf(rt, one))
		},
		"refresh repeatedly": func(rt *rapid.T) {
			one := m.recentSession(rt)
			for range rapid.IntRange(2, 3).Draw(rt, "times") {
				m.refresh(rt, one, len(one.tokens)-1)
			}
			m.refresh(rt, one, m.tokenOf(rt, one))
		},
		"refresh in parallel": func(rt *rapid.T) {
			one := m.recentSession(rt)
			at := m.tokenOf(rt, one)
			want := m.predictRefresh(one, at)
			for _, response := range atOnce(3, func() servertest.Response { return m.s.TryRefresh(m.t, one.tokens[at]) }) {
				if expect(rt, response, want); want {
					m.addTokens(rt, one, min(at, len(one.tokens)-1), response)
				}
			}
		},
		"refresh with a forged token": func(rt *rapid.T) {
			one := m.recentSession(rt)
			text := []byte(one.tokens[len(one.tokens)-1])
			at := rapid.IntRange(0, len(text)-1).Draw(rt, "character")
			text[at] ^= 1
			expect(rt, m.s.TryRefresh(m.t, string(text)), false)
		},
		"logout": func(rt *rapid.T) {
			one := m.recentSession(rt)
			expect(rt, m.s.Logout(m.t, one.tokens[m.tokenOf(rt, one)]), true)
			one.revoked = true
		},
		"logout and refresh in parallel": func(rt *rapid.T) {
			one := m.recentSession(rt)
			var refreshed servertest.Response
			var both sync.WaitGroup
			both.Go(func() { refreshed = m.s.TryRefresh(m.t, one.tokens[len(one.tokens)-1]) })
			both.Go(func() { expect(rt, m.s.Logout(m.t, one.tokens[0]), true) })
			both.Wait()
			one.revoked = true
			if refreshed.Status == http.StatusOK { // the refresh came first; the logout revoked its tokens too
				one.tokens = append(one.tokens, refreshed.Text("refreshToken"))
				one.access = refreshed.Text("accessToken")
			}
		},
		"reset": func(rt *rapid.T) {
			owner := rapid.SampledFrom(m.accounts).Draw(rt, "account")
			if owner.disabled {
				rt.Skip("a disabled user gets no message")
			}
			m.s.ForgotPassword(m.t, owner.email)
			owner.generation++
			owner.password, owner.verified = owner.nextPassword(), true
			expect(rt, m.s.ResetPassword(m.t, m.s.NextResetToken(m.t, owner.email), owner.password), true)
			one := m.recentSession(rt)
			m.refresh(rt, one, m.tokenOf(rt, one))
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
			m.s.WaitForOutbox(m.t) // an email that is being sent would be sent again
			steps := []time.Duration{7 * time.Second, 31 * time.Second, 20 * time.Minute, 121 * time.Hour}
			m.s.Clock.Advance(rapid.SampledFrom(steps).Draw(rt, "how long"))
		},
		// After every step: an access token is accepted exactly if the model says so.
		"": func(rt *rapid.T) {
			if len(m.sessions) == 0 {
				return
			}
			one := rapid.SampledFrom(m.sessions).Draw(rt, "whose access token")
			expired := !m.now().Before(one.issued.Add(15 * time.Minute))
			expect(rt, m.s.Authenticate(m.t, one.access), m.isValid(one) && !expired)
		},
	}
}

func expect(rt *rapid.T, response servertest.Response, success bool) {
	want := http.StatusUnauthorized
	if success {
		want = http.StatusOK
	}
	if response.Status != want {
		rt.Fatalf("got %d %s, want %d", response.Status, response.Raw, want)
	}
}

// After any sequence of steps the server's accounts and sessions match the model: a session has at
// most one current refresh token, and none after a logout, after a reset or while the user is
// disabled. A retry within the grace period never ends a session.
func TestModelOfSessions(t *testing.T) {
	checks := map[databasetest.Engine]string{databasetest.SQLite: "200", databasetest.Postgres: "20"}
	if testing.Short() {
		checks[databasetest.SQLite] = "40"
	}
	isSet := false
	flag.Visit(func(f *flag.Flag) { isSet = isSet || f.Name == "rapid.checks" })
	for _, engine := range databasetest.Engines {
		t.Run(string(engine), func(t *testing.T) {
			if !isSet {
				if err := flag.Set("rapid.checks", checks[engine]); err != nil {
					t.Fatal(err)
				}
			}
			s := servertest.Start(t, engine, servertest.Options{})
			rapid.Check(t, func(rt *rapid.T) {
				m := &model{t: t, s: s}
				for range 2 {
					m.accounts = append(m.accounts, &account{email: s.NewUser(t), password: servertest.Password})
				}
				m.first = m.accounts[0].email
				steps := m.steps()
				maps.Copy(steps, m.accountSteps())
				rt.Repeat(steps)
			})
		})
	}
}
