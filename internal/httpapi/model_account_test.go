package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// accountSteps are the steps of the model that need an access token.
func (m *model) accountSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"change the password": func(rt *rapid.T) {
			one := m.recentSession(rt)
			current := rapid.SampledFrom([]string{one.owner.password, "not the password"}).Draw(rt, "password")
			next := one.owner.nextPassword()
			response := m.as(one, http.MethodPost, "/auth/change-password", "currentPassword", current, "password", next)
			if m.expectAccess(rt, one, response, current) {
				m.endAllBut(one)
				one.owner.password = next
				m.addTokens(rt, one, len(one.tokens)-1, response)
			}
		},
		"log out everywhere": func(rt *rapid.T) {
			one, keep := m.recentSession(rt), rapid.Bool().Draw(rt, "keep the current session")
			response := m.as(one, http.MethodPost, "/auth/logout-everywhere", "keepCurrent", keep)
			if m.expectAccess(rt, one, response, one.owner.password) {
				m.endAllBut(one)
				if !keep {
					one.generation--
				}
			}
		},
		"end a session": func(rt *rapid.T) {
			one, other := m.recentSession(rt), rapid.SampledFrom(m.sessions).Draw(rt, "session to end")
			live := m.isValid(other) && other.owner == one.owner
			response := m.as(one, http.MethodDelete, "/auth/sessions/"+sessionID(rt, other))
			switch {
			case m.hasAccess(one) && !live:
				expectStatusOf(rt, response, http.StatusNotFound)
			case m.expectAccess(rt, one, response, one.owner.password):
				other.revoked = true
			}
		},
		"list the sessions": func(rt *rapid.T) {
			one := m.recentSession(rt)
			response := m.as(one, http.MethodGet, "/auth/sessions")
			if !m.expectAccess(rt, one, response, one.owner.password) {
				return
			}
			live := 0
			for _, other := range m.sessions {
				if other.owner == one.owner && m.isValid(other) {
					live++
				}
			}
			if list, _ := response.Body["sessions"].([]any); len(list) != min(live, 100) {
				rt.Fatalf("%d sessions, want %d: %s", len(list), live, response.Raw)
			}
		},
		"delete the account": func(rt *rapid.T) {
			one := m.recentSession(rt)
			password := rapid.SampledFrom([]string{one.owner.password, "not the password"}).Draw(rt, "password")
			response := m.as(one, http.MethodPost, "/auth/delete-account", "password", password)
			if !m.expectAccess(rt, one, response, password) {
				return
			}
			m.endAllBut(nil, one.owner)
			for i, owner := range m.accounts {
				if owner == one.owner { // somebody else registers the email
					m.accounts[i] = &account{email: owner.email, password: servertest.Password}
					expectStatusOf(rt, m.s.Register(m.t, owner.email), http.StatusCreated)
				}
			}
		},
		"change the email": func(rt *rapid.T) {
			one := m.recentSession(rt)
			old, next := one.owner.email, fmt.Sprintf("n%d-%s", m.emails, m.first)
			m.emails++
			response := m.as(one, http.MethodPost, "/auth/change-email", "email", next, "password", one.owner.password)
			if !m.hasAccess(one) {
				expect(rt, response, false)
				return
			}
			expectStatusOf(rt, response, http.StatusAccepted)
			token := m.s.NextLinkToken(m.t, next, "confirm-email-change")
			if rapid.Bool().Draw(rt, "cancel") {
				expectStatusOf(rt, m.as(one, http.MethodDelete, "/auth/change-email"), http.StatusOK)
				expect(rt, m.s.Post(m.t, "/auth/confirm-email-change", "token", token, "password", one.owner.password), false)
				return
			}
			expect(rt, m.s.Post(m.t, "/auth/confirm-email-change", "token", token, "password", one.owner.password), true)
			verified := one.owner.verified
			one.owner.email, one.owner.verified = next, true
			if !verified || !rapid.Bool().Draw(rt, "undo") {
				return
			}
			token = m.s.NextLinkToken(m.t, old, "undo-email-change")
			expect(rt, m.s.Post(m.t, "/auth/undo-email-change", "token", token), true)
			one.owner.email, one.owner.password = old, one.owner.nextPassword()
			one.owner.generation += 2
			expect(rt, m.s.ResetPassword(m.t, m.s.NextResetToken(m.t, old), one.owner.password), true)
		},
	}
}

func (m *model) as(one *session, method, path string, members ...any) servertest.Response {
	return m.s.As(m.t, one.access, method, path, members...)
}

// hasAccess reports whether the access token of a session must be accepted.
func (m *model) hasAccess(one *session) bool {
	return m.isValid(one) && m.now().Before(one.issued.Add(15*time.Minute))
}

// expectAccess checks the response to a request with an access token and a password, and reports
// whether it must be a success.
func (m *model) expectAccess(rt *rapid.T, one *session, response servertest.Response, password string) bool {
	switch {
	case !m.hasAccess(one):
		expect(rt, response, false)
		return false
	case password != one.owner.password:
		expectStatusOf(rt, response, http.StatusForbidden)
		return false
	default:
		expect(rt, response, true)
		return true
	}
}

// endAllBut ends every session of the owner of one, or of the given owners, except for one.
func (m *model) endAllBut(one *session, owners ...*account) {
	if one != nil {
		owners = append(owners, one.owner)
	}
	for _, owner := range owners {
		owner.generation++
	}
	if one != nil {
		one.generation = one.owner.generation
	}
}

func (a *account) nextPassword() string {
	a.resets++
	return fmt.Sprintf("password number %d", a.resets)
}

func expectStatusOf(rt *rapid.T, response servertest.Response, want int) {
	if response.Status != want {
		rt.Fatalf("got %d %s, want %d", response.Status, response.Raw, want)
	}
}

// sessionID returns the id of a session, the claim sid of its access token.
func sessionID(rt *rapid.T, one *session) string {
	var claims struct{ SID string }
	payload, err := base64url.DecodeString(strings.Split(one.access, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		rt.Fatal(err)
	}
	return claims.SID
}
