package main

import (
	"flag"
	"os"
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

// The server does not start behind a proxy that is not named: all clients would share the rate limits of the proxy. An
// https URL means that there is a proxy, because the server itself only listens on plain HTTP.
func TestProxiesAreNamed(t *testing.T) {
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
	} {
		_, err := load(test.environment)
		if (err == nil) != test.valid || err != nil && strings.Count(err.Error(), setting+": ") != 1 {
			t.Errorf("%v: %v", test.environment, err)
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
		{[]string{
			"SESAME_ADDR=:8080", "SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_TRUSTED_PROXIES=10.0.0.1",
		}, true},
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
