package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The server warns about profiles that other machines can reach.
func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		address, profiling string
		warns              bool
	}{
		{"127.0.0.1:8081", "on", false},
		{"localhost:8081", "on", false},
		{"[::1]:8081", "on", false},
		{"0.0.0.0:8081", "on", true},
		{":8081", "on", true},
		{"10.0.0.1:8081", "on", true},
		{"0.0.0.0:8081", "off", false},
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

// The development mailbox is served only if there is no SMTP server and only this machine can reach the
// admin listener.
func TestMailboxIsLocal(t *testing.T) {
	local := []string{"SESAME_DATA_DIR=/nowhere"}
	for _, test := range []struct {
		environment []string
		served      bool
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
		var printed strings.Builder
		announce(&printed, c)
		link := "http://" + c.AdminAddr + "/dev/mail (files in /nowhere/mail)"
		if c.Mailbox() != test.served || strings.Contains(printed.String(), link) != test.served {
			t.Errorf("%v: served %v\n%s", test.environment, c.Mailbox(), &printed)
		}
	}
}

// invalidValues are values that the settings refuse.
var invalidValues = map[string]string{
	"SESAME_ADDR":              "127.0.0.1:http",
	"SESAME_ADMIN_ADDR":        "8081",
	"SESAME_PUBLIC_URL":        "http://auth.example.com",
	"SESAME_TRUSTED_PROXIES":   "proxy",
	"SESAME_CORS_ORIGINS":      "*",
	"SESAME_DATA_DIR":          "config_test.go",
	"SESAME_DATABASE_URL":      "postgres://u:canary@db.example.com/x",
	"SESAME_SECRET":            "canary",
	"SESAME_SECRET_PREVIOUS":   "canary",
	"SESAME_SIGNING_ALGORITHM": "none",
	"SESAME_AUDIENCE":          "an audience",
	"SESAME_ACCESS_TOKEN_TTL":  "15",
	"SESAME_REFRESH_TOKEN_TTL": "1s",
	"SESAME_SESSION_TTL":       "-1h",
	"SESAME_REFRESH_GRACE":     "1h",
	"SESAME_RELOAD_KEYS":       "0s",
	"SESAME_SMTP_URL":          "smtp://u:canary@",
	"SESAME_MAIL_FROM":         "nobody",
	"SESAME_RESET_TOKEN_TTL":   "1s",
	"SESAME_BRAND_NAME":        " ",
	"SESAME_BRAND_COLOR":       "white",
	"SESAME_APP_URL":           "app.example.com",
	"SESAME_RESET_URL":         "https://app.example.com/#token=",
	"SESAME_THROTTLE":          "no",
	"SESAME_AUDIT_RETENTION":   "1h",
	"SESAME_PPROF":             "yes",
	"SESAME_LOG_FORMAT":        "xml",
	"SESAME_LOG_LEVEL":         "loud",
}

// If every setting is invalid, every error is reported at once, and nothing was opened or written
// before.
func TestEverySettingIsChecked(t *testing.T) {
	var environment []string
	for _, s := range allSettings() {
		if invalidValues[s.name] == "" {
			t.Errorf("there is no invalid value of %s in invalidValues", s.name)
		}
		environment = append(environment, s.name+"="+invalidValues[s.name])
	}
	file, err := filepath.Abs("config_test.go")
	if err != nil {
		t.Fatal(err)
	}
	environment = append(environment, "SESAME_DATA_DIR="+file) // the last one counts
	t.Chdir(t.TempDir())
	for _, command := range []string{"serve", "migrate"} {
		var stdout, stderr strings.Builder
		if status := realMain(t.Context(), []string{command}, environment, &stdout, &stderr); status != 2 {
			t.Errorf("%s: status %d", command, status)
		}
		for _, s := range allSettings() {
			if !strings.Contains(stderr.String(), "\n"+s.name+": ") {
				t.Errorf("%s does not report %s:\n%s", command, s.name, &stderr)
			}
		}
		if strings.Contains(stderr.String(), "canary") || stdout.String() != "" {
			t.Errorf("%s prints\n%s%s", command, &stdout, &stderr)
		}
	}
	if created, err := os.ReadDir("."); err != nil || len(created) > 0 {
		t.Errorf("created: %v, %v", created, err)
	}
}

var update = flag.Bool("update", false, "write the generated page, and the output that scripts expect")

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
		t.Errorf("%s is out of date: run go test ./cmd/sesame -run TestConfigurationPage -update (%v)", path, err)
	}
}
