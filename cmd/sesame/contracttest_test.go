package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A server as it is configured by default is the contract's, through a proxy too, and the command says so.
func TestContractTest(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		args := contractTestArguments(t, p, func(http.Header) {})
		path := processtest.Binary(t)
		linker := "env -C " + p.Folder + " " + strings.Join(p.Environment, " ") + " " + path + " users reset-link"
		status, out, fault := run(t, nil, append(args, "--reset-link", linker)...)
		if status != 0 || fault != "" || !strings.Contains(out, "\nok  password reset\nok  forgot password\nok  rate limits\n") || strings.Contains(out, "not tested") {
			t.Errorf("exit status %d, %s\n%s", status, fault, out)
		}
		_, account, _ := strings.Cut(out, "\nRegistered user: ")
		if account = strings.TrimSpace(account); user(t, p, account) == nil || !strings.HasSuffix(account, "@conformance.example") {
			t.Errorf("the account is %q", account)
		}
	})
}

// What a proxy spoils is found, and a program that gives no link is named.
func TestContractTestFails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine, "SESAME_THROTTLE=off")
		p.Start(t)
		args := contractTestArguments(t, p, func(header http.Header) { header.Del("WWW-Authenticate") })
		status, out, fault := run(t, nil, args...)
		if status != 1 || !strings.Contains(fault, "WWW-Authenticate") || !strings.Contains(fault, "401 Unauthorized") || !strings.Contains(out, "authenticate ") {
			t.Errorf("a breach: exit status %d, %s\n%s", status, fault, out)
		}
		args = contractTestArguments(t, p, func(http.Header) {})
		for name, linker := range map[string]string{"no link": "true", "no such program": "/nonexistent/program", "a program that fails": "false"} {
			status, _, fault := run(t, nil, append(args, "--reset-link", linker)...)
			if status != 1 || !strings.Contains(fault, "--reset-link: ") {
				t.Errorf("%s: exit status %d, %s", name, status, fault)
			}
		}
		if status, out, fault := run(t, nil, args...); status != 0 || !strings.Contains(out, "was not tested") || !strings.Contains(out, "SESAME_THROTTLE is off") {
			t.Errorf("without a link, without limits: exit status %d, %s\n%s", status, fault, out)
		}
		if _, err := p.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		args[2] = "http://" + p.API
		if status, out, fault := run(t, nil, args...); status != 1 || out != "" || !strings.Contains(fault, "connection refused") {
			t.Errorf("nobody there: exit status %d, %s\n%s", status, fault, out)
		}
	})
}

// contractTestArguments are the command's for a proxy of the server that spoils the headers of answers.
func contractTestArguments(t *testing.T, p *processtest.Server, spoil func(http.Header)) []string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.API})
	proxy.ModifyResponse = func(response *http.Response) error {
		spoil(response.Header)
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return []string{"contract-test", "--url", server.URL + "/", "--email-domain", "conformance.example"}
}

func TestContractTestIsCalledWrongly(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":             {},
		"no domain":           {"--url", "http://127.0.0.1:1"},
		"a password in clear": {"--url", "http://auth.example.com", "--email-domain", "example.com"},
		"no URL":              {"--url", "auth.example.com", "--email-domain", "example.com"},
		"no such domain":      {"--url", "http://127.0.0.1:1", "--email-domain", "ada@example.com"},
		"an argument":         {"--url", "http://127.0.0.1:1", "--email-domain", "example.com", "more"},
	} {
		status, out, fault := run(t, nil, append([]string{"contract-test"}, args...)...)
		if status != 2 || out != "" || fault == "" {
			t.Errorf("%s: exit status %d, %q, %q", name, status, fault, out)
		}
	}
}
