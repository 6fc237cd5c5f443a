package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A server passes, also behind a proxy. Its public URL has an IP address, so passkeys are for
// localhost.
func TestContractTest(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_EMAIL_VERIFICATION=off")
		server.UseCheapHashes(t)
		server.Start(t)
		args := contractTestArguments(t, server, func(http.Header) {})
		path := processtest.Binary(t)
		status, stdout, stderr := server.Run(t, "", append(args, "--reset-link", path+" users reset-link")...)
		if status != 0 || stderr != "" {
			t.Errorf("exit status %d, %s", status, stderr)
		}
		if !strings.Contains(stdout, "\npassed   login: rate limits\n") ||
			!strings.HasSuffix(stdout, " checks, 3 skipped\n") || !lastLine.MatchString(stdout) ||
			!strings.Contains(stdout, "\npassed   finishPasskeyLogin: success\n") ||
			strings.Count(stdout, " (the run cannot read the email with the link)\n") != 3 ||
			strings.Contains(stdout, "failed") || strings.Contains(stdout, "Remaining user") {
			t.Errorf("not everything passed:\n%s", stdout)
		}
	})
}

// Without registrations, the command asks for an account. It deletes the account at the end, or
// names it.
func TestContractTestAccount(t *testing.T) {
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_REGISTRATION=closed", "SESAME_THROTTLE=off")
		server.UseCheapHashes(t)
		server.Start(t)
		args := contractTestArguments(t, server, func(http.Header) {})
		status, stdout, stderr := server.Run(t, "", args...)
		if status != 1 || !strings.Contains(stderr, "SESAME_REGISTRATION=closed") || !strings.Contains(stderr, "--account") ||
			strings.Contains(stderr, "differs") || !lastLine.MatchString(stdout) {
			t.Errorf("closed: exit status %d, %s\n%s", status, stderr, stdout)
		}
		const email = "test@conformance.example"
		server.MustRun(t, processtest.Password, "users", "create", "--email", email, "--name", "Test", "--password-stdin")
		args = append(args, "--account", email, "--password-stdin")
		refused := slices.Concat(args, []string{"--passkey-origin", "https://app.example.com"})
		status, stdout, stderr = server.Run(t, processtest.Password, append(refused, "--skip", "changePassword")...)
		if status != 1 || !strings.Contains(stderr, "name one with --passkey-origin") || lastLine.FindString(stdout) == "" {
			t.Errorf("--passkey-origin: exit status %d, %s\n%s", status, stderr, stdout)
		}
		kept := slices.Concat(args, []string{"--skip", "deleteAccount,changePassword"})
		status, stdout, stderr = server.Run(t, processtest.Password, kept...)
		if status != 0 || !strings.Contains(stdout, "\nRemaining user: "+email+"\n") {
			t.Errorf("without deleteAccount: exit status %d, %s\n%s", status, stderr, stdout)
		}
		status, stdout, stderr = server.Run(t, processtest.Password+"\n", args...)
		if status != 0 || strings.Contains(stdout, "Remaining user") {
			t.Errorf("--account: exit status %d, %s\n%s", status, stderr, stdout)
		}
		if status, _, stderr := server.Run(t, "", "users", "show", email); status != 1 {
			t.Errorf("the account remains: %s", stderr)
		}
	})
}

// lastLine matches text whose only line with the result of the run is the last one.
var lastLine = regexp.MustCompile(`^(?s:.*)\n(passed: \d+ checks|failed: \d+ of \d+ checks)(, \d+ skipped)?\n$`)

// The command reports what a proxy breaks, and programs that print no link.
func TestContractTestFails(t *testing.T) {
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_THROTTLE=off")
		server.UseCheapHashes(t)
		server.Start(t)
		args := contractTestArguments(t, server, func(header http.Header) { header.Del("WWW-Authenticate") })
		status, stdout, stderr := server.Run(t, "", args...)
		if status != 1 || !strings.Contains(stderr, "WWW-Authenticate") ||
			!strings.Contains(stderr, "401 Unauthorized") || !strings.Contains(stdout, "authenticate ") ||
			!regexp.MustCompile(`\nfailed: 1 of \d+ checks, \d+ skipped\n$`).MatchString(stdout) {
			t.Errorf("without WWW-Authenticate: exit status %d, %s\n%s", status, stderr, stdout)
		}

		others := slices.Concat(args, []string{"--keep-going", "--skip", "logout,resetPassword", "--skip", "refreshTokens"})
		status, stdout, stderr = server.Run(t, "", others...)
		if status != 1 || strings.Count(stdout, "\nfailed ") < 2 || !lastLine.MatchString(stdout) ||
			!strings.Contains(stdout, "\nskipped  logout: success (logout is skipped)\n") {
			t.Errorf("--keep-going: exit status %d, %s\n%s", status, stderr, stdout)
		}
		var document struct {
			Failed int
			Checks []any
		}
		status, stdout, stderr = server.Run(t, "", append(others, "--format", "json")...)
		if err := json.Unmarshal([]byte(stdout), &document); status != 1 || err != nil || document.Failed < 2 ||
			!strings.HasPrefix(stderr, fmt.Sprintf("sesame: failed: %d of %d checks", document.Failed, len(document.Checks))) {
			t.Errorf("--format json: exit status %d, %v, %s\n%s", status, err, stderr, stdout)
		}
		status, stdout, stderr = server.Run(t, "", append(others, "--format", "junit")...)
		if status != 1 || strings.Count(stdout, "<failure ") != document.Failed || !strings.HasPrefix(stdout, "<?xml ") ||
			!strings.HasSuffix(stdout, "</testsuites>\n") {
			t.Errorf("--format junit: exit status %d, %s\n%s", status, stderr, stdout)
		}

		args = contractTestArguments(t, server, func(http.Header) {})
		for _, program := range []string{"true", "/nonexistent/program", "false"} {
			status, _, stderr := server.Run(t, "", append(args, "--reset-link", program)...)
			if status != 1 || !strings.Contains(stderr, "--reset-link: ") {
				t.Errorf("--reset-link %s: exit status %d, %s", program, status, stderr)
			}
		}

		status, stdout, stderr = server.Run(t, "", args...)
		if status != 0 || !strings.Contains(stdout, "there is no reset link") ||
			!strings.Contains(stdout, "\nskipped  enrollTOTP: success (it requires a verified email: name ") ||
			!strings.Contains(stdout, "SESAME_THROTTLE is off") || !lastLine.MatchString(stdout) {
			t.Errorf("without --reset-link and rate limits: exit status %d, %s\n%s", status, stderr, stdout)
		}

		if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		args[2] = "http://" + server.API
		status, stdout, stderr = server.Run(t, "", args...)
		if status != 1 || !lastLine.MatchString(stdout) || !strings.Contains(stderr, "connection refused") {
			t.Errorf("without a server: exit status %d, %s\n%s", status, stderr, stdout)
		}
	})
}

// contractTestArguments starts a proxy that changes the headers of responses, and returns arguments
// to test it.
func contractTestArguments(t *testing.T, server *processtest.Server, change func(http.Header)) []string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.API})
	proxy.ModifyResponse = func(response *http.Response) error {
		change(response.Header)
		return nil
	}
	listener := httptest.NewServer(proxy)
	t.Cleanup(listener.Close)
	return []string{"contract-test", "--url", listener.URL + "/", "--email-domain", "conformance.example"}
}
