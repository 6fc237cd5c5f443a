package faults

import (
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sesame-auth/sesame/internal/processtest"
)

// check checks the accounts that were used since the last check, while no client uses them.
func (l *load) check() {
	l.t.Helper()
	accounts := l.accounts[l.checked:]
	l.checked = len(l.accounts)
	l.each(accounts, l.checkAccount)
}

// checkSessions checks the sessions of all accounts again.
func (l *load) checkSessions() {
	l.t.Helper()
	l.each(l.accounts, func(a *account) {
		for _, s := range a.sessions {
			l.checkSession(s)
		}
	})
}

// each calls do for every account, several at the same time.
func (l *load) each(accounts []*account, do func(*account)) {
	var checking sync.WaitGroup
	queue := make(chan *account)
	for range clients {
		checking.Go(func() {
			for a := range queue {
				do(a)
			}
		})
	}
	for _, a := range accounts {
		queue <- a
	}
	close(queue)
	checking.Wait()
}

// ask is like post, but tries again while the server is busy.
func (l *load) ask(path string, body any, headers ...string) (status int, members map[string]string) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if status, members = l.post(path, body, headers...); status != 0 && status < http.StatusInternalServerError {
			return status, members
		}
	}
	l.t.Errorf("%s: %d for 30 seconds", path, status)
	return status, members
}

// canLogIn reports whether a password is valid.
func (l *load) canLogIn(a *account, password string) bool {
	status, _ := l.ask("/auth/login", map[string]string{"email": a.email, "password": password})
	return status == http.StatusOK
}

func (l *load) checkAccount(a *account) {
	another := newPassword()
	body := map[string]string{"name": "Ada", "email": a.email, "password": another, "confirm": another}
	status, _ := l.ask("/auth/register", body)
	switch {
	case status == http.StatusCreated && a.registered:
		l.fail(&l.figures.lost, "the account %s does not exist", a.email)
		return
	case status == http.StatusCreated:
		a.registered, a.passwords = true, []string{another}
		return // the registration was not acknowledged, and did not happen
	}
	a.registered = true
	valid := ""
	for i := len(a.passwords) - 1; i >= 0 && valid == ""; i-- {
		if l.canLogIn(a, a.passwords[i]) {
			valid = a.passwords[i]
		}
	}
	switch {
	case valid == "":
		l.fail(&l.figures.lost, "%s cannot log in", a.email)
	case a.reset != "" && valid == a.passwords[len(a.passwords)-1]:
		a.resetTo(a.reset, valid) // it happened, so all of it must have happened
	}
	for _, password := range a.replaced {
		if l.canLogIn(a, password) {
			l.fail(&l.figures.revived, "%s can log in with a password that was replaced", a.email)
		}
	}
	for _, token := range a.used {
		body := map[string]string{"password": another}
		status, _ := l.ask("/auth/reset-password?token="+url.QueryEscape(token), body)
		if status != http.StatusUnauthorized {
			l.fail(&l.figures.revived, "a used reset token of %s returns %d", a.email, status)
		}
	}
	for _, s := range a.sessions {
		l.checkSession(s)
	}
}

func (l *load) checkSession(s *session) {
	switch s.state {
	case unknown:
	case ended:
		if status, _ := l.ask("/auth", nil, "Authorization", "Bearer "+s.access); status != http.StatusUnauthorized {
			l.fail(&l.figures.revived, "the access token of an ended session returns %d", status)
		}
		status, _ := l.ask("/auth/refresh-tokens", map[string]string{"refreshToken": s.refresh})
		if status != http.StatusUnauthorized {
			l.fail(&l.figures.revived, "the refresh token of an ended session returns %d", status)
		}
	case live:
		status, tokens := l.ask("/auth/refresh-tokens", map[string]string{"refreshToken": s.refresh})
		if status != http.StatusOK {
			l.fail(&l.figures.lost, "the refresh token of a session returns %d", status)
			return
		}
		s.access, s.refresh = tokens["accessToken"], tokens["refreshToken"]
	}
}

// checkEmails waits until every email that was promised has arrived, and returns how many arrived
// more than once.
func (l *load) checkEmails() (repeated int) {
	l.t.Helper()
	for _, a := range l.accounts {
		processtest.Eventually(l.t, "the reset links of "+a.email+" arrive", func() bool {
			return l.box.count(a.email) >= a.asked
		})
		repeated += max(0, l.box.count(a.email)-a.asked-a.maybeAsked)
	}
	return repeated
}
