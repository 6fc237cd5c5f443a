package conformance_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// target returns the server as a target. url may be that of a proxy in front of it.
func target(s *servertest.Server, url string) conformance.Target {
	resetLink := func(ctx context.Context, email string) (string, error) {
		user, err := s.Auth.FindUser(ctx, email)
		if err != nil {
			return "", err
		}
		return s.Auth.ResetLink(ctx, user.ID)
	}
	return conformance.Target{URL: url, Domain: "Conformance.example", ResetLink: resetLink}
}

// run returns the report and the error of the first check that failed.
func run(ctx context.Context, t *testing.T, to conformance.Target) (*conformance.Report, error) {
	t.Helper()
	report, err := conformance.Run(ctx, to, func(conformance.Result) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if result.Status == conformance.Failed {
			return report, result.Err
		}
	}
	return report, nil
}

// emailed are the operations that need the token of an email, which a run cannot read.
var emailed = []string{"verifyEmail", "confirmEmailChange", "undoEmailChange"}

// The server conforms with and without rate limits and a grace period. The report has every
// documented response, except errors of the server and refusals of other settings.
func TestServerConforms(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for name, options := range map[string]servertest.Options{
			"default":                            {Throttle: true},
			"no rate limits and no grace period": {RefreshGrace: -1},
			"passwords of 15 characters":         {Throttle: true, MinLength: 15},
			"passwords of 64 characters":         {Throttle: true, MinLength: 64},
		} {
			if testing.Short() && name != "default" {
				continue
			}
			s := servertest.Start(t, engine, options)
			to := target(s, s.URL)
			to.Transport = s.Client.Transport // collects the secrets, which the end of the test searches for
			report, err := run(t.Context(), t, to)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			skipped := len(emailed)
			if !options.Throttle {
				skipped++
			}
			want := fmt.Sprintf("passed: %d checks, %d skipped", len(report.Results)-skipped, skipped)
			if report.Summary() != want || report.Account != "" { // it was deleted
				t.Errorf("%s: %s, want %s, account %q", name, report.Summary(), want, report.Account)
			}
			table := report.Table()
			for _, operation := range servertest.Document().Operations() {
				for _, status := range operation.Statuses {
					want := status < 500
					switch status {
					case http.StatusTooManyRequests:
						want = options.Throttle && operation.ID == "login"
					case http.StatusForbidden:
						want = slices.Contains([]string{
							"changePassword", "changeEmail", "deleteAccount", "reauthenticate", "confirmTOTP", "finishPasskeyRegistration",
						}, operation.ID)
					case http.StatusNotFound:
						want = operation.ID != "confirmTOTP" // it would count as a wrong code
					case http.StatusConflict:
						// These would need 20 passkeys, and an account without a password.
						want = !slices.Contains([]string{"startPasskeyRegistration", "deletePasskey"}, operation.ID)
					case http.StatusOK:
						want = !slices.Contains(emailed, operation.ID)
					}
					if seen := len(report.Took(operation.ID, status)) > 0; seen != want {
						t.Errorf("%s: %s %d: seen %v, want %v\n%s", name, operation.ID, status, seen, want, table)
					}
				}
			}
			if lines := strings.Count(table, "\n"); lines != 1+len(servertest.Document().Operations()) {
				t.Errorf("%d lines in the table:\n%s", lines, table)
			}
		}
	})
}

// A run with an account works with every setting, and deletes it. Without one, it says which
// setting does not let it register and log in, and reports no breach.
func TestAccount(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for setting, options := range map[string]servertest.Options{
			"SESAME_REGISTRATION=closed": {Registration: auth.RegistrationClosed},
			"SESAME_REGISTRATION=private": {
				Registration: auth.RegistrationPrivate, EmailVerification: auth.VerificationRequired,
			},
			"SESAME_EMAIL_VERIFICATION=required": {EmailVerification: auth.VerificationRequired},
		} {
			s := servertest.Start(t, engine, options)
			to := target(s, s.URL)
			_, err := run(t.Context(), t, to)
			if needed, ok := errors.AsType[*conformance.AccountError](err); !ok || !strings.Contains(err.Error(), setting) {
				t.Errorf("%s: %v, want %T", setting, err, needed)
			}

			user := auth.NewUser{Email: "ada@conformance.example", Name: "Ada", Password: new(servertest.Password)}
			if _, err := s.Auth.CreateUser(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			to.Account, to.Password = "Ada@conformance.example", servertest.Password
			report, err := run(t.Context(), t, to)
			if err != nil || report.Account != "" {
				t.Errorf("%s: %v, account %q", setting, err, report.Account)
			}
			if got := report.Count(conformance.Skipped); got > 11 {
				t.Errorf("%s: %d checks are skipped: %q", setting, got, names(named(report, conformance.Skipped)))
			}
			if _, err := s.Auth.FindUser(t.Context(), user.Email); !errors.Is(err, auth.ErrUnknownUser) {
				t.Errorf("%s: the account remains: %v", setting, err)
			}
		}
	})
}

// Every breach is found by the right check, with the right reason, and reported without secrets. A
// run sees only HTTP, so one engine is enough here: TestServerConforms has both.
func TestBreaches(t *testing.T) {
	all := documentBreaches()
	maps.Copy(all, behaviorBreaches())
	maps.Copy(all, factorBreaches())
	maps.Copy(all, passkeyBreaches())
	unlimited := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for name, breach := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := unlimited
			if breach.check == "rate limits" { // each run exceeds them
				s = servertest.Start(t, databasetest.SQLite, servertest.Options{Throttle: true})
			}
			testBreach(t, s, breach)
		})
	}
}

func testBreach(t *testing.T, s *servertest.Server, breach breach) {
	t.Helper()
	var secrets []string
	change := func(e *exchange) {
		for _, name := range []string{"accessToken", "refreshToken", "loginToken", "secret", "uri"} {
			secrets = append(secrets, member(e.body, name))
		}
		secrets = append(secrets, recoveryCodes(e)...)
		secrets = append(secrets, member(e.requestBody, "password"), e.bearer)
		breach.change(e)
	}
	_, err := run(t.Context(), t, target(s, proxy(t, s.URL, change)))
	found, ok := errors.AsType[*conformance.Breach](err)
	if !ok {
		t.Fatalf("%v, want a breach", err)
	}
	if !strings.Contains(found.Check, breach.check) || !strings.Contains(found.Reason, breach.reason) {
		t.Errorf("check %q: %s, want check %q: %s", found.Check, found.Reason, breach.check, breach.reason)
	}
	if strings.Contains(breach.reason, "must not contain the password") {
		return // the response is shown, with the password
	}
	for _, secret := range secrets {
		if len(secret) > len("tiny7x") && strings.Contains(err.Error(), secret) {
			t.Errorf("the error contains a secret: %v", err)
		}
	}
}

// Every response of a run is checked: if any one is inverted, the run finds a breach.
func TestEveryResponseIsChecked(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	contract := servertest.Document()
	isFactor := func(path string) bool {
		return strings.Contains(path, "factor") || strings.Contains(path, "passkey") ||
			path == "/auth/recovery-codes" || path == "/auth/reauthenticate"
	}
	// others returns the operations that a run does not need to check the responses to a path.
	others := func(path string) (skip []string) {
		needed := []string{"register", "login", "authenticate", "refreshTokens", "getAccount", "resetPassword"}
		if isFactor(path) {
			needed = append(needed, "listFactors", "enrollTOTP", "confirmTOTP", "completeLogin", "removeTOTP",
				"getAuthorizationServerMetadata", "startPasskeyRegistration", "finishPasskeyRegistration", "listPasskeys",
				"startPasskeyLogin", "deletePasskey")
		}
		for _, operation := range contract.Operations() {
			isAt := contract.OperationAt(operation.Method, path) == operation.ID
			if !isAt && !slices.Contains(needed, operation.ID) {
				skip = append(skip, operation.ID)
			}
		}
		return skip
	}
	runAt := func(url string, skip []string) error {
		to := target(s, url)
		to.Skip = skip
		_, err := run(t.Context(), t, to)
		return err
	}
	var exchanges []exchange
	err := runAt(proxy(t, s.URL, func(e *exchange) { exchanges = append(exchanges, *e) }), nil)
	if err != nil || len(exchanges) < 100 {
		t.Fatalf("%d exchanges, %v", len(exchanges), err)
	}
	// A success and an error of each call are enough: a run for every response would take minutes.
	type kind struct {
		call    string // the operation if there is one: its path may contain an id
		isError bool
	}
	kindOf := func(e *exchange) kind {
		method, path, _ := strings.Cut(e.call, " ")
		return kind{cmp.Or(contract.OperationAt(method, path), e.call), e.status >= 400}
	}
	tried := map[kind]bool{{call: openAPI}: true} // the document need not be served
	for _, e := range exchanges {
		one := kindOf(&e)
		if tried[one] {
			continue
		}
		tried[one] = true
		inverted := false
		_, path, _ := strings.Cut(e.call, " ")
		err := runAt(proxy(t, s.URL, func(e *exchange) {
			if !inverted && one == kindOf(e) {
				inverted = true
				invert(e)
			}
		}), others(path))
		_, isBreach := errors.AsType[*conformance.Breach](err)
		_, isAccount := errors.AsType[*conformance.AccountError](err)
		if !inverted || !isBreach && !isAccount {
			t.Errorf("a response to %s (an error: %v): inverted: %v, %v, want a breach", one.call, one.isError, inverted, err)
		}
	}
}

// The suite waits for a rate limit if the wait is short, and gives up after a few attempts.
func TestWaitsForRateLimits(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for name, test := range map[string]struct {
		retryAfter string
		times      int // how often the limit is exceeded
		reported   int // the number of 429 responses in the report
		passes     bool
	}{
		"once":      {"1", 1, 1, true},
		"long wait": {"61", 1, 1, false},
		"always":    {"1", 1000, 3, false},
	} {
		exceeded := 0
		change := on(forgot, func(e *exchange) {
			if e.status == http.StatusAccepted && exceeded < test.times {
				exceeded++
				problem(e, http.StatusTooManyRequests, "too_many_requests", "")
				e.header.Set("Retry-After", test.retryAfter)
			}
		})
		report, err := run(t.Context(), t, target(s, proxy(t, s.URL, change)))
		_, throttled := errors.AsType[*conformance.ThrottledError](err)
		if throttled == test.passes || test.passes && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := len(report.Took("forgotPassword", http.StatusTooManyRequests)); got != test.reported {
			t.Errorf("%s: the report has %d 429 responses, want %d", name, got, test.reported)
		}
	}
}

// The text of a breach contains no characters of the response that control a terminal.
func TestBreachHasNoControlCharacters(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for name, change := range map[string]func(*exchange){
		"header": func(e *exchange) {
			e.header.Set("X-Odd", "\x1b[2J\u202e")
			e.header.Del("X-Request-Id")
		},
		"JSON body":  body(unknownPath, "{\"code\":\"\u202e\u009b2J\"}"),
		"other body": body(unknownPath, "\x1b[2J"),
		"reason":     on(logIn, func(e *exchange) { e.header.Set("Content-Type", "\u202e") }),
	} {
		_, err := run(t.Context(), t, target(s, proxy(t, s.URL, change)))
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\u009b\u202e\r") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// If there is no response, the error is not a breach, and contains no secret of the request.
func TestErrorsWithoutResponse(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	noMailbox := errors.New("no mailbox")
	noLink := func(context.Context, string) (string, error) { return "", noMailbox }
	canceled, cancel := context.WithCancel(t.Context())
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, test := range map[string]struct {
		ctx    context.Context
		target conformance.Target
		want   error
	}{
		"no server": {t.Context(), target(s, closed.URL), syscall.ECONNREFUSED},
		"no reset link": {
			t.Context(),
			conformance.Target{URL: s.URL, Domain: "conformance.example", ResetLink: noLink},
			noMailbox,
		},
		"canceled": {
			canceled,
			target(s, proxy(t, s.URL, on(logOut, func(*exchange) { cancel() }))),
			context.Canceled,
		},
		"connection closed": {
			t.Context(),
			target(s, proxy(t, s.URL, func(e *exchange) {
				if strings.HasPrefix(e.requestBody, `{"password"`) {
					panic(http.ErrAbortHandler)
				}
			})),
			io.EOF,
		},
	} {
		_, err := run(test.ctx, t, test.target)
		_, breach := errors.AsType[*conformance.Breach](err)
		if !errors.Is(err, test.want) || breach || strings.Contains(err.Error(), "token=") {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A deployment can have a path and https. Then Strict-Transport-Security is required.
func TestDeploymentWithPathAndHTTPS(t *testing.T) {
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
	if _, err := run(t.Context(), t, deployed); err != nil {
		t.Error(err)
	}
	proxy.ModifyResponse = func(response *http.Response) error {
		response.Header.Del("Strict-Transport-Security")
		return nil
	}
	_, err = run(t.Context(), t, deployed)
	if err == nil || !strings.Contains(err.Error(), "Strict-Transport-Security must") {
		t.Errorf("without HSTS: %v", err)
	}
}
