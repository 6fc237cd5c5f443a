package main

import (
	"bytes"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// screen is a terminal that a command runs on.
type screen struct {
	command         *exec.Cmd
	keyboard, glass *os.File // the two ends: what is typed and shown, and what the command has
	before          *term.State
	stdout          bytes.Buffer // of the command: not on the screen
	mu              sync.Mutex
	shows           string
	ended, drained  chan struct{}
}

// onScreen runs a command that has a terminal for standard input and standard error.
func onScreen(t *testing.T, p *processtest.Server, args ...string) *screen {
	t.Helper()
	s := &screen{command: p.Command(t, args...), ended: make(chan struct{}), drained: make(chan struct{})}
	var err error
	if s.keyboard, s.glass, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.keyboard.Close(), s.glass.Close() })
	if s.before, err = term.GetState(int(s.glass.Fd())); err != nil {
		t.Fatal(err)
	}
	s.command.Stdin, s.command.Stdout, s.command.Stderr = s.glass, &s.stdout, s.glass
	s.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C is a signal
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // end looks at the status
	}()
	go func() {
		defer close(s.drained)
		piece := make([]byte, 4096)
		for {
			n, err := s.keyboard.Read(piece)
			s.mu.Lock()
			s.shows += string(piece[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// answer types something when the screen asks.
func (s *screen) answer(t *testing.T, question, typed string) {
	t.Helper()
	processtest.Eventually(t, question, func() bool { return strings.HasSuffix(s.text(), question) })
	if strings.HasSuffix(question, ": ") { // hidden: until the echo is off
		processtest.Eventually(t, "the echo is off", func() bool { return !s.isAsBefore(t) })
	}
	if _, err := s.keyboard.WriteString(typed); err != nil {
		t.Fatal(err)
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shows
}

// isAsBefore tells whether the terminal is set as it was before the command.
func (s *screen) isAsBefore(t *testing.T) bool {
	t.Helper()
	now, err := term.GetState(int(s.glass.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(now, s.before)
}

// end waits for the command's end, which leaves the terminal as it was, and for all it has shown.
func (s *screen) end(t *testing.T, status int) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s", s.text())
	}
	asBefore := s.isAsBefore(t)
	if err := s.glass.Close(); err != nil { // nobody has this end any more, so the other one comes to its end
		t.Error(err)
	}
	<-s.drained
	if s.command.ProcessState.ExitCode() != status || !asBefore {
		t.Errorf("status %d, the terminal is as before: %v\n%s%s", s.command.ProcessState.ExitCode(), asBefore, s.text(), &s.stdout)
	}
}

// On a terminal a password is asked for twice and not shown.
func TestPasswordOnTerminal(t *testing.T) {
	p := processtest.New(t, databasetest.SQLite)
	p.Start(t)
	create := []string{"users", "create", "--email", "ada@example.com", "--name", "Ada"}

	s := onScreen(t, p, create...)
	s.answer(t, "Password: ", horse+"\n")
	s.answer(t, "Repeat password: ", better+"\n")
	s.end(t, 1)
	if !strings.Contains(s.text(), "the passwords do not match") || strings.Contains(s.text(), "horse") {
		t.Errorf("it shows\n%s", s.text())
	}

	s = onScreen(t, p, create...)
	s.answer(t, "Password: ", "\x03") // Ctrl-C
	s.end(t, 1)
	if users := count(t, p); users != 0 {
		t.Errorf("%d users", users)
	}

	s = onScreen(t, p, create...)
	s.answer(t, "Password: ", horse+"\n")
	s.answer(t, "Repeat password: ", horse+"\n")
	s.end(t, 0)
	if id := user(t, p, "ada@example.com").ID.String(); strings.TrimSpace(s.stdout.String()) != id || strings.Contains(s.text(), "horse") {
		t.Errorf("it shows\n%s%s", s.text(), &s.stdout)
	}

	s = onScreen(t, p, "users", "set-password", "ada@example.com")
	s.answer(t, "Password: ", better+"\n")
	s.answer(t, "Repeat password: ", better+"\n")
	s.end(t, 0)
	if status, _ := tryLogin(t, p, "ada@example.com", better); status != 200 {
		t.Errorf("a login with what was typed: %d", status)
	}
}

// On a terminal, what cannot be undone is asked about, and only a yes is one.
func TestDeleteOnTerminal(t *testing.T) {
	p := processtest.New(t, databasetest.SQLite)
	id := p.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
	for _, answer := range []string{"\n", "n\n", "ja\n", "\x03", "\x04", "y\n"} {
		if users := count(t, p); users != 1 {
			t.Fatalf("before %q: %d users", answer, users)
		}
		s := onScreen(t, p, "users", "delete", "ada@example.com")
		s.answer(t, "Delete ada@example.com ("+id+")? This cannot be undone. [y/N] ", answer)
		s.end(t, map[bool]int{true: 0, false: 1}[answer == "y\n"])
	}
	if users := count(t, p); users != 0 {
		t.Errorf("%d users", users)
	}
}

// On a terminal an import shows how far it is, and its report stays clean.
func TestImportOnTerminal(t *testing.T) {
	p := processtest.New(t, databasetest.SQLite)
	s := onScreen(t, p, "users", "import", writeUsers(t, 3000))
	s.end(t, 0)
	if !strings.Contains(s.text(), "importing") || !strings.HasSuffix(s.text(), "3000 created, 0 already existed, 0 refused.\r\n") {
		t.Errorf("it shows\n%q", s.text())
	}
	if lines := reported(t, s.stdout.String()); len(lines) != 3000 {
		t.Errorf("%d lines", len(lines))
	}
}
