package faults

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// An account is one user, and what is known about it. Only one client uses it at a time.
type account struct {
	email      string
	registered bool     // acknowledged
	passwords  []string // one of them is valid, if there is an account
	replaced   []string // that are not valid any more
	used       []string // tokens of reset links that were used
	sessions   []*session
	reset      string // the token of a reset that was not acknowledged, to the last of the passwords
	asked      int    // requests of a reset link that were acknowledged
	maybeAsked int    // and those that were not
}

type session struct {
	access, refresh string
	state           state
}

// state is what is known about a session.
type state int

const (
	live    state = iota
	ended         // logged out, or from before a reset
	unknown       // a logout was not acknowledged
)

// use registers an account and uses it for a while. It returns after the first operation without a
// success response, which may or may not have taken effect. It also returns when ended is closed,
// without interrupting a request.
func (l *load) use(ended <-chan struct{}, a *account) {
	if !l.register(a) || !l.login(a) || !l.login(a) {
		return
	}
	for range 12 {
		s := a.sessions[rand.IntN(len(a.sessions))]
		acknowledged := true
		switch choice := rand.IntN(20); {
		case isClosed(ended):
			return
		case choice < 2:
			acknowledged = l.login(a)
		case choice < 4 && l.box != nil:
			acknowledged = l.resetPassword(ended, a) && l.login(a)
		case s.state != live:
		case choice < 7:
			acknowledged = l.logout(s)
		default:
			acknowledged = l.refresh(s)
		}
		if !acknowledged {
			return
		}
	}
}

// register registers the account, sometimes with two requests at the same time, of which one at
// most may succeed.
func (l *load) register(a *account) (acknowledged bool) {
	passwords := []string{newPassword(), newPassword()}[:1+rand.IntN(2)]
	statuses := make([]int, len(passwords))
	var both sync.WaitGroup
	for i, password := range passwords {
		both.Go(func() {
			body := map[string]string{"name": "Ada", "email": a.email, "password": password, "confirm": password}
			statuses[i], _ = l.post("/auth/register", body)
		})
	}
	both.Wait()
	for i, status := range statuses {
		switch {
		case status == http.StatusCreated && a.registered:
			l.fail(&l.figures.revived, "%s was registered twice", a.email)
		case status == http.StatusCreated:
			a.registered = true
			l.acknowledge()
			a.passwords, a.replaced = []string{passwords[i]}, a.passwords
		case status == http.StatusBadRequest:
		case a.registered:
			a.replaced = append(a.replaced, passwords[i])
		default:
			a.passwords = append(a.passwords, passwords[i])
		}
	}
	return a.registered
}

func (l *load) login(a *account) (acknowledged bool) {
	status, tokens := l.post("/auth/login", map[string]string{"email": a.email, "password": a.passwords[0]})
	if l.succeeded(status, "login of %s", a.email) {
		a.sessions = append(a.sessions, &session{access: tokens["accessToken"], refresh: tokens["refreshToken"]})
		return true
	}
	return false
}

func (l *load) refresh(s *session) (acknowledged bool) {
	status, tokens := l.post("/auth/refresh-tokens", map[string]string{"refreshToken": s.refresh})
	if l.succeeded(status, "refresh of a session") {
		s.access, s.refresh = tokens["accessToken"], tokens["refreshToken"]
		return true
	}
	return false
}

func (l *load) logout(s *session) (acknowledged bool) {
	status, _ := l.post("/auth/logout", map[string]string{"refreshToken": s.refresh})
	if s.state = unknown; l.succeeded(status, "logout") {
		s.state = ended
		return true
	}
	return false
}

// resetPassword requests a reset link and uses it.
func (l *load) resetPassword(ended <-chan struct{}, a *account) (acknowledged bool) {
	links := l.box.watch(a.email)
	status, _ := l.post("/auth/forgot-password", map[string]string{"email": a.email})
	if !l.succeeded(status, "request of a reset link") {
		a.maybeAsked++
		return false
	}
	a.asked++
	var token string
	select {
	case token = <-links:
	case <-ended:
		return false
	case <-time.After(5 * time.Second): // the server has no database
		return false
	}
	password := newPassword()
	status, _ = l.post("/auth/reset-password?token="+url.QueryEscape(token), map[string]string{"password": password})
	if l.succeeded(status, "reset of %s", a.email) {
		a.resetTo(token, password)
		return true
	}
	a.reset, a.passwords = token, append(a.passwords, password)
	return false
}

// resetTo notes that the password was reset.
func (a *account) resetTo(token, password string) {
	for _, previous := range a.passwords {
		if previous != password {
			a.replaced = append(a.replaced, previous)
		}
	}
	a.passwords, a.used, a.reset = []string{password}, append(a.used, token), ""
	for _, s := range a.sessions {
		s.state = ended
	}
}
