package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Target is a deployment, and what may be used of it.
type Target struct {
	URL    string // as clients reach it, without a slash at its end
	Domain string // the accounts made have addresses under it; it takes their mail
	// ResetLink has a link made to choose a new password with, for the account of an address, and returns it. nil: what
	// takes such a link is not tried.
	ResetLink func(ctx context.Context, address string) (string, error)
	Transport http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // nil: time.Now
}

// Breach is an answer, or what follows from it, that is not the contract's.
type Breach struct {
	Check  string // during which
	Call   string // METHOD URL
	Answer string // status, headers and body, but for tokens; empty: nothing was answered
	Reason string
}

// Error is the breach in words. What the server said, in the answer or in what is wrong with it, does not steer the
// terminal it is shown on.
func (b *Breach) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the contract is breached: %s\nwhile checking %s, by %s", b.Reason, b.Check, b.Call)
	if b.Answer != "" {
		fmt.Fprintf(&text, ", which answered\n\n%s", b.Answer)
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text.String())
}

// checks are in the order they run; those behind registering find the account it made.
var checks = []struct {
	name string
	run  func(*suite)
}{
	{"which contract is served", checkServed},
	{"keys and metadata", checkKeys},
	{"methods and paths", checkMethods},
	{"bodies that are not the contract's", checkBodies},
	{"registering", checkRegister},
	{"registrations that are refused", checkRegisterRefuses},
	{"logging in", checkLogin},
	{"access tokens", checkAccessTokens},
	{"refreshing", checkRefresh},
	{"logging out", checkLogout},
	{"resetting a password", checkResetPassword},
	{"forgotten passwords", checkForgotPassword}, // later: the link it has mailed voids any other
	{"limits on guessing", checkLimits},
}

// Run holds a deployment against the contract, check by check; each that holds is told to held by its name. The
// report is of everything that was seen, also when there is an error. Errors: *Breach for the first breach; what
// kept an answer from coming; *ThrottledError; what ResetLink returned.
func Run(ctx context.Context, target Target, held func(check string)) (*Report, error) {
	contract, err := Load()
	if err != nil {
		return nil, err
	}
	s := &suite{
		ctx: ctx, target: target, contract: contract, report: newReport(contract.Operations()), now: target.Now,
		client: &http.Client{
			Transport: target.Transport, Timeout: longestAnswer,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, check := range checks {
		s.check = check.name
		check.run(s)
		if s.err != nil {
			return s.report, s.err
		}
		held(check.name)
	}
	return s.report, nil
}

// ThrottledError says that the deployment answered 429 to what the suite needs, with a wait too long to sit out.
type ThrottledError struct {
	Check string
	Wait  time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts from this network: checking %s can go on in %s", e.Check, e.Wait)
}

// wait waits, or returns what ended the context first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
