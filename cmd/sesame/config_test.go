package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// tryPost posts a body, JSON unless headers say otherwise.
func (p *process) tryPost(ctx context.Context, path, body string, headers ...string) (int, map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.api+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := response.Body.Close(); err != nil {
		return 0, nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(content, &members); err != nil {
		return 0, nil, err
	}
	texts := make(map[string]string)
	for name, value := range members {
		texts[name] = fmt.Sprint(value)
	}
	return response.StatusCode, texts, nil
}

// Every fault is told at once, by its name, in words, and no secret is among them.
func TestConfigurationFaults(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "secret")
	if err := os.WriteFile(file, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := run(t, []string{
		"SESAME_ADDR=8080", "SESAME_ADMIN_ADDR=8080", "SESAME_PUBLIC_URL=http://auth.example.com", "SESAME_DATABASE_URL=mysql://u:canary@h/x",
		"SESAME_SECRET=canary!", "SESAME_SIGNING_ALGORITHM=none", "SESAME_SMTP_URL_FILE=" + filepath.Join(folder, "nothing"), "SESAME_MAIL_FROM=nobody",
		"SESAME_ACCESS_TOKEN_TTL=15", "SESAME_REFRESH_TOKEN_TTL=1s", "SESAME_SESSION_TTL=-1h", "SESAME_REFRESH_GRACE=1h", "SESAME_RESET_TOKEN_TTL=0s",
		"SESAME_LOG_FORMAT=xml", "SESAME_THROTTLE=maybe", "SESAME_TRUSTED_PROXIES=10.0.0.1,proxy", "SESAME_CORS_ORIGINS=*,https://App.example.com/", "SESAME_PPROF=yes", "SESAME_LOG_LEVEL=loud", "SESAME_COLOUR=x", "SESAME_RESET_URL=https://app.example.com/reset#token=", "SESAME_BRAND_NAME=two\nlines", "SESAME_BRAND_COLOR=#7fb4ff", "SESAME_ADDR_FILE=x", "SESAME_SECRET_FILE=" + file, "SESAME_TEST_ANYTHING=x", "OTHER=x",
	}, "serve")
	if status != 2 || stdout != "" {
		t.Errorf("status %d, %q", status, stdout)
	}
	for _, words := range []string{
		"SESAME_ADDR: must be host:port", "SESAME_ADMIN_ADDR: must be host:port", "SESAME_ADMIN_ADDR: must differ", "SESAME_PUBLIC_URL: must be https",
		"SESAME_DATABASE_URL: must begin with postgres://", "SESAME_SECRET: the secret is not base64", "SESAME_SIGNING_ALGORITHM: must be one of ES256, EdDSA",
		"SESAME_SMTP_URL_FILE: open", "SESAME_MAIL_FROM: must be a sender", "SESAME_ACCESS_TOKEN_TTL: must be a duration", "SESAME_REFRESH_TOKEN_TTL: must be between",
		"SESAME_SESSION_TTL: must be between", "SESAME_REFRESH_GRACE: must be between 0s and 10m0s", "SESAME_RESET_TOKEN_TTL: must be between", "SESAME_LOG_FORMAT: must be one of text, json",
		"SESAME_THROTTLE: must be one of on, off", `SESAME_TRUSTED_PROXIES: "proxy" is neither an IP address nor a CIDR`,
		`SESAME_CORS_ORIGINS: "*": must be an origin, such as https://app.example.com; "https://App.example.com/": browsers send it as https://app.example.com`, "SESAME_PPROF: must be one of on, off",
		"SESAME_RESET_URL: must have no user, query or fragment", "SESAME_BRAND_NAME: must be one line",
		"SESAME_BRAND_COLOR: must be darker: white text on it has a contrast of 2.1:1",
		"SESAME_LOG_LEVEL: must be one of", "SESAME_COLOUR: there is no such setting", "SESAME_ADDR_FILE: there is no such setting", "SESAME_SECRET_FILE: SESAME_SECRET is set too",
	} {
		if !strings.Contains(stderr, words) {
			t.Errorf("it does not say %q:\n%s", words, stderr)
		}
	}
	if strings.Contains(stderr, "canary") || strings.Contains(stderr, "SESAME_TEST") || strings.Contains(stderr, "OTHER") {
		t.Errorf("it says too much:\n%s", stderr)
	}
}

func TestConfigurationThatDoesNotFit(t *testing.T) {
	for words, environment := range map[string][]string{
		"SESAME_SECRET: must be set with PostgreSQL":                            {"SESAME_DATABASE_URL=postgres://h/x"},
		"SESAME_PUBLIC_URL: must be set":                                        {"SESAME_ADDR=0.0.0.0:8080"},
		"SESAME_RESET_URL: must be https":                                       {"SESAME_RESET_URL=http://app.example.com/reset"},
		"SESAME_PUBLIC_URL: must have no user, query or fragment":               {"SESAME_PUBLIC_URL=https://h/?x=y"},
		"SESAME_MAIL_FROM: must be set with SESAME_SMTP_URL":                    {"SESAME_SMTP_URL=smtps://h"},
		"SESAME_SESSION_TTL: must not be shorter than SESAME_REFRESH_TOKEN_TTL": {"SESAME_SESSION_TTL=1h"},
		"needs at least 32":                                                     {"SESAME_SECRET=" + secretOfTests[:40]},
	} {
		if status, _, stderr := run(t, environment, "serve"); status != 2 || !strings.Contains(stderr, words) {
			t.Errorf("status %d, without %q:\n%s", status, words, stderr)
		}
	}
}

// Profiles where others may reach them are told of. That is the admin listener's only danger that is switched on.
func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		address, profiling string
		warns              bool
	}{
		{"127.0.0.1:8081", "on", false}, {"localhost:8081", "on", false}, {"[::1]:8081", "on", false},
		{"0.0.0.0:8081", "on", true}, {":8081", "on", true}, {"10.0.0.1:8081", "on", true}, {"0.0.0.0:8081", "off", false},
	} {
		c, err := load([]string{"SESAME_ADMIN_ADDR=" + test.address, "SESAME_PPROF=" + test.profiling})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.warnings(); len(got) > 0 != test.warns {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// The development mailbox is served only if there is no SMTP server and only this machine can reach the admin listener.
func TestMailboxIsLocal(t *testing.T) {
	local := []string{"SESAME_DATA_DIR=/nowhere"}
	for _, test := range []struct {
		environment []string
		shown       bool
	}{
		{nil, true},
		{[]string{"SESAME_PUBLIC_URL=http://localhost:8080"}, true},
		{[]string{"SESAME_ADDR=:8080", "SESAME_PUBLIC_URL=https://auth.example.com"}, true},
		{[]string{"SESAME_ADMIN_ADDR=[::1]:8081"}, true},
		{[]string{"SESAME_ADMIN_ADDR=localhost:8081"}, true},
		{[]string{"SESAME_ADMIN_ADDR=0.0.0.0:8081"}, false},
		{[]string{"SESAME_ADMIN_ADDR=:8081"}, false},
		{[]string{"SESAME_ADMIN_ADDR=192.0.2.1:8081"}, false},
		{[]string{"SESAME_SMTP_URL=smtp://127.0.0.1:25?tls=off", "SESAME_MAIL_FROM=a@example.com"}, false},
	} {
		c, err := load(append(local, test.environment...))
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		announce(&said, c)
		if c.Mailbox() != test.shown || strings.Contains(said.String(), "http://"+c.AdminAddr+"/dev/mail (files in /nowhere/mail)") != test.shown {
			t.Errorf("%v: %v\n%s", test.environment, c.Mailbox(), &said)
		}
	}
}

// A wrong secret is told at start, not at the first login.
func TestWrongSecret(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine, "SESAME_DATA_DIR="+t.TempDir())
		p.start(t)
		if _, err := p.end(t, 15); err != nil {
			t.Error(err)
		}
		wrong := append(withoutSecret(p.environment), "SESAME_SECRET="+strings.ToLower(secretOfTests))
		status, _, stderr := run(t, wrong, "serve")
		if status != 1 || !strings.Contains(stderr, "SESAME_SECRET") || !strings.Contains(stderr, "is not the one this database was created with") {
			t.Errorf("status %d:\n%s", status, stderr)
		}
	})
}

func TestConfigPrintsNoSecret(t *testing.T) {
	status, stdout, stderr := run(t, []string{"SESAME_SECRET=" + secretOfTests, "SESAME_DATABASE_URL=postgres://u:canary@h/x", "SESAME_LOG_LEVEL=debug"}, "config")
	if status != 0 || strings.Contains(stdout+stderr, secretOfTests) || strings.Contains(stdout+stderr, "canary") {
		t.Errorf("status %d:\n%s%s", status, stdout, stderr)
	}
	for _, s := range allSettings() {
		if !strings.Contains(stdout, s.name+" ") {
			t.Errorf("%s is not listed", s.name)
		}
	}
	if !strings.Contains(stdout, "(set)") || !strings.Contains(stdout, "debug") {
		t.Errorf("values are not listed:\n%s", stdout)
	}
}

var update = flag.Bool("update", false, "write the generated pages")

// docs/configuration.md is generated from the settings.
func TestConfigurationPage(t *testing.T) {
	const path = "../../docs/configuration.md"
	want := configurationPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale: run go test ./cmd/sesame -run TestConfigurationPage -update (%v)", path, err)
	}
}
