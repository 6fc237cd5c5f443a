package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/passkey"
)

// The server does not start with a configuration that is not safe. The error names the setting, and
// says what it must be.
func TestUnsafeConfigurations(t *testing.T) {
	const (
		postgres = "SESAME_DATABASE_URL=postgres://localhost/sesame"
		short    = "YSBzZWNyZXQgb2YgdGhpcnR5LW9uZSBieXRlcywgbw==" // 31 bytes
	)
	for _, test := range []struct {
		environment []string
		want        string
	}{
		// Tokens, passwords and reset links would be sent without TLS.
		{[]string{"SESAME_PUBLIC_URL=http://auth.example.com"}, "SESAME_PUBLIC_URL: must be https"},
		{[]string{"SESAME_PUBLIC_URL=http://10.0.0.1:8080"}, "SESAME_PUBLIC_URL: must be https"},
		{[]string{"SESAME_PUBLIC_URL=ftp://127.0.0.1"}, "SESAME_PUBLIC_URL: must be a URL"},
		{[]string{"SESAME_LINK_URL=http://app.example.com/reset"}, "SESAME_LINK_URL: must be https"},
		{[]string{"SESAME_APP_URL=http://app.example.com"}, "SESAME_APP_URL: must be https"},
		{[]string{"SESAME_APP_URL=javascript:alert(1)"}, "SESAME_APP_URL: must be a URL"},
		{[]string{"SESAME_SMTP_URL=smtp://smtp.example.com?tls=off", "SESAME_MAIL_FROM=a@example.com"}, "SESAME_SMTP_URL: "},
		// The URL in tokens and emails would be guessed.
		{[]string{"SESAME_ADDR=0.0.0.0:8080"}, "SESAME_PUBLIC_URL: must be set"},
		{[]string{"SESAME_ADDR=:8080"}, "SESAME_PUBLIC_URL: must be set"},
		{[]string{"SESAME_ADDR=unix:/run/sesame/api.sock"}, "SESAME_PUBLIC_URL: must be set"},
		{[]string{"SESAME_PUBLIC_URL=https://u:p@auth.example.com"}, "SESAME_PUBLIC_URL: must have no user"},
		{[]string{"SESAME_LINK_URL=https://app.example.com/#token="}, "SESAME_LINK_URL: must have no user, query"},
		// Keys could be guessed, or each instance would have its own.
		{[]string{postgres}, "SESAME_SECRET: must be set with PostgreSQL"},
		{[]string{postgres, "SESAME_SECRET=" + short}, "SESAME_SECRET: "},
		{[]string{"SESAME_SECRET=" + short}, "SESAME_SECRET: "},
		{[]string{"SESAME_SECRET_PREVIOUS=" + short}, "SESAME_SECRET_PREVIOUS: "},
		{[]string{"SESAME_SIGNING_ALGORITHM=none"}, "SESAME_SIGNING_ALGORITHM: must be one of ES256, EdDSA"},
		{[]string{"SESAME_SIGNING_ALGORITHM=HS256"}, "SESAME_SIGNING_ALGORITHM: must be one of ES256, EdDSA"},
		// Every page, or every client, would be trusted.
		{[]string{"SESAME_CORS_ORIGINS=*"}, "SESAME_CORS_ORIGINS: "},
		{[]string{"SESAME_CORS_ORIGINS=null"}, "SESAME_CORS_ORIGINS: "},
		{[]string{"SESAME_CORS_ORIGINS=https://*.example.com"}, "SESAME_CORS_ORIGINS: "},
		{[]string{"SESAME_TRUSTED_PROXIES=proxy.example.com"}, "SESAME_TRUSTED_PROXIES: "},
		{[]string{"SESAME_TRUSTED_PROXIES=*"}, "SESAME_TRUSTED_PROXIES: "},
		{[]string{"SESAME_ADDR=127.0.0.1:9000", "SESAME_ADMIN_ADDR=127.0.0.1:9000"}, "SESAME_ADMIN_ADDR: must differ"},
		// Browsers would refuse every passkey, or other sites could use them.
		{[]string{"SESAME_PASSKEY_RP_ID=https://example.com"}, "SESAME_PASSKEY_RP_ID: must be a domain"},
		{[]string{"SESAME_PASSKEY_RP_ID=Example.com"}, "SESAME_PASSKEY_RP_ID: must be a domain"},
		{[]string{"SESAME_PASSKEY_RP_ID=10.0.0.1"}, "SESAME_PASSKEY_RP_ID: must be a domain"},
		{[]string{"SESAME_PASSKEY_RP_ID=-a.example.com"}, "SESAME_PASSKEY_RP_ID: must be a domain"},
		{[]string{"SESAME_PASSKEY_RP_ID=example.com"}, "SESAME_PASSKEY_ORIGINS: must be set, because no other setting"},
		{[]string{"SESAME_PASSKEY_ORIGINS=*"}, `SESAME_PASSKEY_ORIGINS: "*": must be an origin`},
		{[]string{"SESAME_PASSKEY_ORIGINS=https://example.com"},
			`SESAME_PASSKEY_ORIGINS: "https://example.com" must be https`},
		{[]string{
			"SESAME_PASSKEY_RP_ID=example.com", "SESAME_PASSKEY_ORIGINS=https://example.com,https://notexample.com",
		}, `SESAME_PASSKEY_ORIGINS: "https://notexample.com" must be https`},
		{[]string{"SESAME_PASSKEY_RP_ID=example.com", "SESAME_PASSKEY_ORIGINS=http://example.com"},
			`SESAME_PASSKEY_ORIGINS: "http://example.com" must be https`},
		// Passwords, tokens or links would be weak or live too long.
		{[]string{"SESAME_MIN_PASSWORD_LENGTH=7"}, "SESAME_MIN_PASSWORD_LENGTH: must be a number from 8 to 64"},
		{[]string{"SESAME_MIN_PASSWORD_LENGTH=65"}, "SESAME_MIN_PASSWORD_LENGTH: must be a number from 8 to 64"},
		{[]string{"SESAME_MIN_PASSWORD_LENGTH=0"}, "SESAME_MIN_PASSWORD_LENGTH: must be a number from 8 to 64"},
		{[]string{"SESAME_MIN_PASSWORD_LENGTH=eight"}, "SESAME_MIN_PASSWORD_LENGTH: must be a number from 8 to 64"},
		{[]string{"SESAME_ACCESS_TOKEN_TTL=25h"}, "SESAME_ACCESS_TOKEN_TTL: must be between"},
		{[]string{"SESAME_RESET_TOKEN_TTL=25h"}, "SESAME_RESET_TOKEN_TTL: must be between"},
		{[]string{"SESAME_REFRESH_GRACE=11m"}, "SESAME_REFRESH_GRACE: must be between"},
		{[]string{"SESAME_AUDIT_RETENTION=23h"}, "SESAME_AUDIT_RETENTION: must be between"},
		// A typing error must not switch a protection off.
		{[]string{"SESAME_THROTTLE=no"}, "SESAME_THROTTLE: must be one of on, off"},
		{[]string{"SESAME_PPROF=true"}, "SESAME_PPROF: must be one of on, off"},
		{[]string{"SESAME_TROTTLE=on"}, "SESAME_TROTTLE: there is no such setting"},
	} {
		_, err := load(test.environment)
		if _, isUsage := errors.AsType[usageError](err); !isUsage || !strings.Contains(err.Error(), "\n"+test.want) {
			t.Errorf("%v: %v, want %s", test.environment, err, test.want)
		}
	}
	for _, environment := range [][]string{
		nil,
		{"SESAME_MIN_PASSWORD_LENGTH=8"},
		{"SESAME_MIN_PASSWORD_LENGTH=64"},
		{
			"SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_ADDR=:8080", "SESAME_TRUSTED_PROXIES=none",
			"SESAME_APP_URL=https://app.example.com",
		},
	} {
		if _, err := load(environment); err != nil {
			t.Errorf("%v: %v", environment, err)
		}
	}
}

// The defaults of the settings of passkeys fit the other settings.
func TestPasskeySettings(t *testing.T) {
	https := []string{"SESAME_PUBLIC_URL=https://auth.example.com/api", "SESAME_TRUSTED_PROXIES=none"}
	for _, test := range []struct {
		environment []string
		rpID        string
		origins     []string
	}{
		{nil, "localhost", []string{"http://localhost:8080"}},
		{[]string{"SESAME_ADDR=[::1]:9000"}, "localhost", []string{"http://localhost:9000"}},
		{[]string{"SESAME_PUBLIC_URL=http://localhost:8080"}, "localhost", []string{"http://localhost:8080"}},
		{https, "auth.example.com", []string{"https://auth.example.com"}},
		{append([]string{
			"SESAME_APP_URL=https://app.example.com/login", "SESAME_CORS_ORIGINS=https://x.auth.example.com,https://other.test",
		}, https...), "auth.example.com", []string{"https://auth.example.com", "https://x.auth.example.com"}},
		{append([]string{
			"SESAME_PASSKEY_RP_ID=example.com", "SESAME_APP_URL=https://app.example.com/login",
			"SESAME_LINK_URL=https://app.example.com:8443/x",
			"SESAME_CORS_ORIGINS=https://notexample.com,https://app.example.com",
		}, https...), "example.com", []string{
			"https://auth.example.com", "https://app.example.com:8443", "https://app.example.com",
		}},
		{append([]string{
			"SESAME_PASSKEY_ORIGINS=https://auth.example.com:8443, android:apk-key-hash:abc",
			"SESAME_APP_URL=https://auth.example.com",
		}, https...), "auth.example.com", []string{"android:apk-key-hash:abc", "https://auth.example.com:8443"}},
		// Browsers have no passkeys there. Everything else works.
		{[]string{"SESAME_PUBLIC_URL=https://10.0.0.1", "SESAME_TRUSTED_PROXIES=none"},
			"localhost", []string{"https://localhost"}},
	} {
		c, err := load(test.environment)
		if err != nil {
			t.Errorf("%v: %v", test.environment, err)
			continue
		}
		if c.Passkeys.ID != test.rpID || !slices.Equal(c.Passkeys.Origins, test.origins) {
			t.Errorf("%v: %+v", test.environment, c.Passkeys)
		}
		if _, err := passkey.New(c.Passkeys); err != nil {
			t.Errorf("%v: %v", test.environment, err)
		}
	}
}

// certificateFiles returns the paths of a certificate for localhost and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	certificate, secret := certtest.NewAuthority(t).IssuePEM(t, "localhost", time.Now().Add(time.Hour))
	err := errors.Join(os.WriteFile(cert, []byte(certificate), 0o600), os.WriteFile(key, []byte(secret), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// The server does not start with a certificate that clients would refuse, or with links in emails
// that lead to plain HTTP.
func TestCertificateSettings(t *testing.T) {
	cert, key := certificateFiles(t)
	_, otherKey := certificateFiles(t)
	for _, test := range []struct {
		cert, key, publicURL string
		want                 string // empty: valid
	}{
		{cert, key, "", ""},
		{cert, key, "https://localhost:8080", ""},
		{cert, key, "http://localhost:8080", "SESAME_PUBLIC_URL: must be https with SESAME_TLS_CERT"},
		{cert, "", "", "SESAME_TLS_KEY: must be set with SESAME_TLS_CERT"},
		{"", key, "", "SESAME_TLS_CERT: must be set with SESAME_TLS_KEY"},
		{cert + "x", key, "", "SESAME_TLS_CERT: open " + cert + "x: no such file"},
		{cert, key + "x", "", "SESAME_TLS_KEY: open " + key + "x: no such file"},
		{cert, otherKey, "", "SESAME_TLS_CERT: cannot be used with SESAME_TLS_KEY: tls: private key does not match"},
		{key, cert, "", "SESAME_TLS_CERT: cannot be used with SESAME_TLS_KEY: tls: failed to find certificate"},
	} {
		c, err := load([]string{
			"SESAME_TLS_CERT=" + test.cert, "SESAME_TLS_KEY=" + test.key, "SESAME_PUBLIC_URL=" + test.publicURL,
		})
		if test.want == "" && (err != nil || !strings.HasPrefix(c.PublicURL, "https://")) {
			t.Errorf("%+v: %v", test, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), "(errors: 1):\n"+test.want)) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// The server warns about missing rate limits, and about links in emails that users cannot open.
func TestWarningsOfUnintendedSettings(t *testing.T) {
	const public, trusted = "SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_TRUSTED_PROXIES=none"
	for _, test := range []struct {
		environment []string
		warns       string // empty: not
	}{
		{nil, ""},
		{[]string{"SESAME_THROTTLE=off"}, "SESAME_THROTTLE"},
		{[]string{public, trusted}, ""},
		{[]string{public, trusted, "SESAME_LINK_URL=https://app.example.com"}, ""},
		{[]string{public, trusted, "SESAME_LINK_URL=http://localhost:3000"}, "SESAME_LINK_URL"},
		{[]string{"SESAME_LINK_URL=http://localhost:3000"}, ""},
	} {
		c, err := load(test.environment)
		if err != nil {
			t.Fatal(err)
		}
		var warned string
		for _, w := range c.warnings() {
			warned, _, _ = strings.Cut(w.found, " ")
		}
		if warned != test.warns {
			t.Errorf("%q: warns about %q", test.environment, warned)
		}
	}
}

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
		{"unix:/run/sesame/admin.sock", "on", false},
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

// The server does not start behind a proxy that is not named: all clients would share the rate
// limits of the proxy. An https URL means that there is a proxy, unless the server itself handles
// TLS, and every program that uses a Unix socket is one.
func TestProxiesAreNamed(t *testing.T) {
	cert, key := certificateFiles(t)
	const setting = "SESAME_TRUSTED_PROXIES"
	for _, test := range []struct {
		environment []string
		valid       bool
	}{
		{nil, true},
		{[]string{"SESAME_PUBLIC_URL=http://localhost:8080"}, true},
		{[]string{"SESAME_PUBLIC_URL=http://localhost:8080", setting + "=none"}, true},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com"}, false},
		{[]string{"SESAME_PUBLIC_URL=HTTPS://auth.example.com"}, false},
		{[]string{"SESAME_PUBLIC_URL=https://localhost:8443"}, false},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "="}, false},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "= , "}, false},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "=None"}, false},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "=none,10.0.0.1"}, false},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "=none"}, true},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", setting + "=127.0.0.1, 10.0.0.0/8"}, true},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_ADDR=unix:/run/sesame/api.sock"}, true},
		{[]string{"SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_TLS_CERT=" + cert, "SESAME_TLS_KEY=" + key}, true},
	} {
		_, err := load(test.environment)
		if (err == nil) != test.valid || err != nil && strings.Count(err.Error(), setting+": ") != 1 {
			t.Errorf("%v: %v", test.environment, err)
		}
	}
}

// The development mailbox is served only if there is no SMTP server and only this machine can reach
// the admin listener.
func TestMailboxIsLocal(t *testing.T) {
	local := []string{"SESAME_DATA_DIR=/nowhere"}
	for _, test := range []struct {
		environment []string
		served      bool
	}{
		{nil, true},
		{[]string{"SESAME_PUBLIC_URL=http://localhost:8080"}, true},
		{[]string{
			"SESAME_ADDR=:8080", "SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_TRUSTED_PROXIES=10.0.0.1",
		}, true},
		{[]string{"SESAME_ADMIN_ADDR=[::1]:8081"}, true},
		{[]string{"SESAME_ADMIN_ADDR=localhost:8081"}, true},
		{[]string{"SESAME_ADMIN_ADDR=0.0.0.0:8081"}, false},
		{[]string{"SESAME_ADMIN_ADDR=:8081"}, false},
		{[]string{"SESAME_ADMIN_ADDR=192.0.2.1:8081"}, false},
		{[]string{"SESAME_ADMIN_ADDR=unix:/run/sesame/admin.sock"}, false},
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
	"SESAME_DATABASE_WAIT":       "soon",
	"SESAME_PASSKEY_RP_ID":       "https://example.com",
	"SESAME_PASSKEY_ORIGINS":     "*",
	"SESAME_SMTP_CA_FILE":        "/nowhere.pem",
	"SESAME_MIN_PASSWORD_LENGTH": "7",
	"SESAME_DRAIN_DELAY":         "-1s",
	"SESAME_ADDR":                "127.0.0.1:http",
	"SESAME_ADMIN_ADDR":          "8081",
	"SESAME_TLS_CERT":            "/nowhere.pem",
	"SESAME_TLS_KEY":             "/nowhere.pem",
	"SESAME_PUBLIC_URL":          "http://auth.example.com",
	"SESAME_TRUSTED_PROXIES":     "proxy",
	"SESAME_CORS_ORIGINS":        "*",
	"SESAME_DATA_DIR":            "config_test.go",
	"SESAME_DATABASE_URL":        "postgres://u:canary@db.example.com/x",
	"SESAME_SECRET":              "canary",
	"SESAME_SECRET_PREVIOUS":     "canary",
	"SESAME_REGISTRATION":        "yes",
	"SESAME_EMAIL_VERIFICATION":  "on",
	"SESAME_NEW_LOGIN_EMAILS":    "yes",
	"SESAME_SIGNING_ALGORITHM":   "none",
	"SESAME_AUDIENCE":            "an audience",
	"SESAME_ACCESS_TOKEN_TTL":    "15",
	"SESAME_REFRESH_TOKEN_TTL":   "1s",
	"SESAME_SESSION_TTL":         "-1h",
	"SESAME_REFRESH_GRACE":       "1h",
	"SESAME_RELOAD_KEYS":         "0s",
	"SESAME_SMTP_URL":            "smtp://u:canary@",
	"SESAME_MAIL_FROM":           "nobody",
	"SESAME_RESET_TOKEN_TTL":     "1s",
	"SESAME_BRAND_NAME":          " ",
	"SESAME_BRAND_COLOR":         "white",
	"SESAME_APP_URL":             "app.example.com",
	"SESAME_LINK_URL":            "https://app.example.com/#token=",
	"SESAME_THROTTLE":            "no",
	"SESAME_AUDIT_RETENTION":     "1h",
	"SESAME_PPROF":               "yes",
	"SESAME_LOG_FORMAT":          "xml",
	"SESAME_LOG_LEVEL":           "loud",
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
