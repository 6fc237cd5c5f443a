package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// target is a server, of which an operator makes the links.
func target(s *servertest.Server, url string) conformance.Target {
	return conformance.Target{URL: url, Domain: "Conformance.example", ResetLink: func(ctx context.Context, address string) (string, error) {
		user, err := s.Auth.FindUser(ctx, address)
		if err != nil {
			return "", err
		}
		return s.Auth.ResetLink(ctx, user.ID)
	}}
}

// The server is the contract's, with limits and without, with a grace and without one; the report has every answer
// that does not take a fault of the server.
func TestServerConforms(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for name, options := range map[string]servertest.Options{"as by default": {Throttle: true}, "without limits, without a grace": {RefreshGrace: -1}} {
			s := servertest.Start(t, engine, options)
			to := target(s, s.URL)
			to.Transport = s.Client.Transport // which looks for its secrets in the database and the log
			var held []string
			report, err := conformance.Run(t.Context(), to, func(check string) { held = append(held, check) })
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(held) != 13 || report.Account == "" || (len(report.Notes) == 0) != options.Throttle {
				t.Errorf("%s: held %q, account %q, notes %q", name, held, report.Account, report.Notes)
			}
			table := report.Table()
			for _, operation := range servertest.Document().Operations() {
				for _, status := range operation.Statuses {
					limited := status == http.StatusTooManyRequests
					seen := len(report.Took(operation.ID, status)) > 0
					if want := status < 500 && !limited || limited && options.Throttle && operation.ID == "login"; seen != want {
						t.Errorf("%s: %s %d: seen %v, want %v\n%s", name, operation.ID, status, seen, want, table)
					}
				}
			}
			if lines := strings.Count(table, "\n"); lines != 1+len(servertest.Document().Operations()) {
				t.Errorf("the table:\n%s", table)
			}
		}
	})
}

// Every breach is found, where it is, and told in words.
func TestBreaches(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		open := servertest.Start(t, engine, servertest.Options{})
		for name, breach := range breaches() {
			s := open
			if breach.check == "rate limits" { // which one run uses up
				s = servertest.Start(t, engine, servertest.Options{Throttle: true})
			}
			var secrets []string
			change := func(e *exchange) {
				for _, name := range []string{"accessToken", "refreshToken"} {
					secrets = append(secrets, member(e.body, name))
				}
				secrets = append(secrets, member(e.asked, "password"), e.bearer)
				breach.change(e)
			}
			_, err := conformance.Run(t.Context(), target(s, proxy(t, s.URL, change)), func(string) {})
			found, ok := errors.AsType[*conformance.Breach](err)
			if !ok {
				t.Errorf("%s: no breach, but %v", name, err)
				continue
			}
			if !hasOne(found.Check, breach.check) || !hasOne(found.Reason, breach.reason) {
				t.Errorf("%s: while checking %q, want %q: %s, want %q", name, found.Check, breach.check, found.Reason, breach.reason)
			}
			for _, secret := range secrets {
				if len(secret) > len("password123") && !strings.Contains(breach.reason, "must not contain the password") && strings.Contains(err.Error(), secret) {
					t.Errorf("%s: a secret is told: %v", name, err)
				}
			}
		}
	})
}

// No answer of a whole run goes by unnoticed: turned into its opposite, each one is a breach.
func TestEveryAnswerCounts(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	run := func(url string) error {
		_, err := conformance.Run(t.Context(), target(s, url), func(string) {})
		return err
	}
	var answers []exchange
	if err := run(proxy(t, s.URL, func(e *exchange) { answers = append(answers, *e) })); err != nil || len(answers) < 100 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	tried := map[string]bool{"GET /openapi.yaml": true} // which need not be there
	for turned, answer := range answers {
		// What is asked of one operation after the other is one line of the suite.
		key := fmt.Sprint(answer.status, answer.query, answer.bearer, answer.asked)
		if tried[key] || tried[answer.call] {
			continue
		}
		tried[key] = answer.status >= 400
		n := 0
		err := run(proxy(t, s.URL, func(e *exchange) {
			if n == turned {
				turn(e)
			}
			n++
		}))
		_, ok := errors.AsType[*conformance.Breach](err)
		if !ok {
			t.Errorf("answer %d, to %s: %v", turned, answer.call, err)
		}
	}
}

// hasOne tells whether a text has one of several in it, separated by bars.
func hasOne(text, several string) bool {
	return slices.ContainsFunc(strings.Split(several, "|"), func(one string) bool { return strings.Contains(text, one) })
}

// A limit that is met on the way is sat out, if that does not take long, and not for ever.
func TestLimitsAreSatOut(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for name, test := range map[string]struct {
		seconds string
		times   int // the limit is met
		seen    int
		passes  bool
	}{
		"once": {"1", 1, 1, true}, "for long": {"61", 1, 1, false}, "always": {"1", 1000, 3, false},
	} {
		met := 0
		change := on("POST /auth/forgot-password", func(e *exchange) {
			if e.status == http.StatusAccepted && met < test.times {
				met++
				problem(e, http.StatusTooManyRequests, "too_many_requests", "")
				e.header.Set("Retry-After", test.seconds)
			}
		})
		report, err := conformance.Run(t.Context(), target(s, proxy(t, s.URL, change)), func(string) {})
		_, throttled := errors.AsType[*conformance.ThrottledError](err)
		if throttled == test.passes || test.passes && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if seen := len(report.Took("forgotPassword", 429)); seen != test.seen {
			t.Errorf("%s: %d times 429 in the report", name, seen)
		}
	}
}

// What a server says does not steer the terminal it is shown on.
func TestBreachOnATerminal(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for name, change := range map[string]func(*exchange){
		"a header": func(e *exchange) {
			e.header.Set("X-Odd", "\x1b[2J\u202e")
			e.header.Del("X-Request-Id")
		},
		"a body":      body("GET /auth/nothing", "{\"code\":\"\u202e\u009b2J\"}"),
		"a reason":    on("POST /auth/login", func(e *exchange) { e.header.Set("Content-Type", "\u202e") }),
		"another one": body("GET /auth/nothing", "\x1b[2J"),
	} {
		_, err := conformance.Run(t.Context(), target(s, proxy(t, s.URL, change)), func(string) {})
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\u009b\u202e\r") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// What is no answer is no breach, and said without what the request held.
func TestWhatIsNoBreach(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	broken := errors.New("no mailbox")
	ended, cancel := context.WithCancel(t.Context())
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, test := range map[string]struct {
		ctx    context.Context
		target conformance.Target
		want   error
	}{
		"nobody there": {t.Context(), target(s, closed.URL), syscall.ECONNREFUSED},
		"no link": {t.Context(), conformance.Target{URL: s.URL, Domain: "conformance.example",
			ResetLink: func(context.Context, string) (string, error) { return "", broken }}, broken},
		"interrupted": {ended, target(s, proxy(t, s.URL, on("POST /auth/logout", func(*exchange) { cancel() }))), context.Canceled},
		"cut off": {t.Context(), target(s, proxy(t, s.URL, func(e *exchange) {
			if strings.HasPrefix(e.asked, `{"password"`) {
				panic(http.ErrAbortHandler)
			}
		})), io.EOF},
	} {
		_, err := conformance.Run(test.ctx, test.target, func(string) {})
		_, breach := errors.AsType[*conformance.Breach](err)
		if !errors.Is(err, test.want) || breach || strings.Contains(err.Error(), "token=") {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A deployment may be below a path of its host, and is then held to what an https one owes to browsers.
func TestDeploymentBelowAPath(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	below := httptest.NewTLSServer(http.StripPrefix("/id", proxy))
	defer below.Close()
	deployed := target(s, below.URL+"/id")
	deployed.Transport = below.Client().Transport
	if _, err := conformance.Run(t.Context(), deployed, func(string) {}); err != nil {
		t.Error(err)
	}
	proxy.ModifyResponse = func(response *http.Response) error {
		response.Header.Del("Strict-Transport-Security")
		return nil
	}
	if _, err := conformance.Run(t.Context(), deployed, func(string) {}); err == nil || !strings.Contains(err.Error(), "Strict-Transport-Security must") {
		t.Errorf("without HSTS: %v", err)
	}
}
