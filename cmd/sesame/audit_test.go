package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// audit --follow prints the events that happened, then those that happen, until it is interrupted.
func TestAuditFollows(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		server.Login(t)
		command := server.Command(t, "audit", "--follow", "--kind", "login")
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		expect := func(event string) {
			t.Helper()
			if !lines.Scan() || !strings.Contains(lines.Text(), event) {
				t.Errorf("printed %q, want %q", lines.Text(), event)
			}
		}
		expect("login success email=ada@example.com") // no registration: it is not a login
		if status, _ := tryLogin(t, server, "nobody@example.com", "a wrong password"); status != http.StatusUnauthorized {
			t.Fatalf("login with an unknown email: %d", status)
		}
		expect(`login failure email=nobody@example.com ip=127.0.0.1 detail="no such account"`)

		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if lines.Scan() {
			t.Errorf("printed %q, want no further event", lines.Text())
		}
		if err := command.Wait(); err != nil {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// In JSON, characters that control a terminal are escapes, and no character is lost.
func TestJSONDoesNotControlTheTerminal(t *testing.T) {
	const hostile = "Ada \x1b[2J\a\r\n\x00\x7f\u009b31m \u00ad\u200b\u200f\u2028\u202e\u2066\ufeff\U000e0041 " +
		"\"é\\ 你 \U0001f600"
	bio := hostile
	var user, event bytes.Buffer
	err := errors.Join(
		printUserJSON(&user, &auth.User{Name: hostile, Email: "ada@example.com", Bio: &bio}),
		printer(&event, true)(audit.Event{Kind: audit.Login, Origin: audit.Origin{UserAgent: hostile}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []*bytes.Buffer{&user, &event} {
		line, found := strings.CutSuffix(printed.String(), "\n")
		if !found || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("it can control a terminal: %q", line)
		}
		var read struct{ Name, Bio, UserAgent string }
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if isUser := printed == &user; isUser && (read.Name != hostile || read.Bio != hostile) ||
			!isUser && read.UserAgent != hostile {
			t.Errorf("%q is not %q", read, hostile)
		}
	}
	if !strings.Contains(user.String(), `\u202e`) || !strings.Contains(user.String(), `\udb40\udc41`) ||
		!strings.Contains(user.String(), "é") {
		t.Errorf("escapes: %s", &user)
	}
}

// Untrusted text can neither break a line nor control the terminal.
func TestPrintedEventsAreOneLine(t *testing.T) {
	var out bytes.Buffer
	origin := audit.Origin{UserAgent: "x\r\n2026 login success \x1b[31m\u202e é"}
	event := audit.Event{Kind: audit.Login, Outcome: audit.Failure, Origin: origin}
	if err := printer(&out, false)(event); err != nil {
		t.Fatal(err)
	}
	const want = "0001-01-01T00:00:00.000Z login failure " +
		`userAgent="x\r\n2026 login success \x1b[31m\u202e \u00e9"` + "\n"
	if out.String() != want {
		t.Errorf("%s, want %s", &out, want)
	}
}
