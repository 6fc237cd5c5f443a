package mail

import (
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for url, want := range map[string]server{
		"smtp://mail.example.org":                   {"mail.example.org", "587", "", "", startTLS},
		"smtp://mail.example.org/":                  {"mail.example.org", "587", "", "", startTLS},
		"smtps://mail.example.org":                  {"mail.example.org", "465", "", "", implicitTLS},
		"smtp://u:p@mail.example.org:2525":          {"mail.example.org", "2525", "u", "p", startTLS},
		"smtps://u%40x:p%3A%2F%3F%23%40%25@[::1]:1": {"::1", "1", "u@x", "p:/?#@%", implicitTLS},
		"smtp://127.0.0.1:1025?tls=off":             {"127.0.0.1", "1025", "", "", loopback},
		"smtp://127.9.9.9:1025?tls=off":             {"127.9.9.9", "1025", "", "", loopback},
		"smtp://[::1]:1025?tls=off":                 {"::1", "1025", "", "", loopback},
		"smtp://[::ffff:127.0.0.1]:25?tls=off":      {"::ffff:127.0.0.1", "25", "", "", loopback},
		"smtp://u:p@LocalHost:1025?tls=off":         {"LocalHost", "1025", "u", "p", loopback},
	} {
		if got, err := parseServer(url); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", url, got, err)
		}
	}
}

// Errors say what is wrong and contain no part of the URL: if the password was not
// escaped, any part may belong to it.
func TestParseServerRefuses(t *testing.T) {
	for url, words := range map[string]string{
		"":                                      "must look like",
		"mail.example.org:587":                  "must look like",
		"smtp:mail.example.org":                 "must look like",
		"smtp://":                               "must look like",
		"smtp://:587":                           "must look like",
		"smtp://u:hunter2%zz@mail.example.org":  "must look like",
		"smtp://u:hunter2/x@mail.example.org":   "must look like",
		"smtp://u:12/hunter2@mail.example.org":  "must end after the host",
		"smtp://u:12#hunter2@mail.example.org":  "must end after the host",
		"smtp://u:12?hunter2@mail.example.org":  "unknown option",
		"http://u:hunter2@mail.example.org":     "must start with",
		"smtp://mail.example.org?tls=no":        "unknown option",
		"smtp://localhost?tls=off&tls=on":       "unknown option",
		"smtps://localhost?tls=off":             "must not combine",
		"smtp://u:hunter2@mail.example?tls=off": "on this machine only",
		"smtp://10.0.0.1:1025?tls=off":          "on this machine only",
		"smtp://0.0.0.0:1025?tls=off":           "on this machine only",
		"smtp://localhost.example.org?tls=off":  "on this machine only",
		"smtp://127.0.0.1.example.org?tls=off":  "on this machine only",
		"smtp://u@mail.example.org":             "both a user and a password",
		"smtp://:hunter2@mail.example.org":      "both a user and a password",
		"smtp://u:hunter2%0D%0A@mail.example":   "both a user and a password",
		"smtp://u:hunter2%00@mail.example.org":  "both a user and a password",
	} {
		sender, err := NewSMTP(url, testFrom, nil)
		if err == nil || sender != nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", url, err, words)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "mail.example") {
			t.Errorf("%s: the error quotes the URL: %v", url, err)
		}
	}
}

func TestSMTPStringHidesCredentials(t *testing.T) {
	sender, err := NewSMTP("smtps://u:hunter2@mail.example.org", testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := sender.String(); got != "mail.example.org:465" {
		t.Errorf("got %q", got)
	}
}
