package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/audit"
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
