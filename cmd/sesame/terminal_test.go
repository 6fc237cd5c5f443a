package main

import (
	"bytes"
	"net/http"
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

// screen is a pseudo-terminal with a command that runs on it.
type screen struct {
	command        *exec.Cmd
	control, tty   *os.File // the end of the user, and the end of the command
	before         *term.State
	stdout         bytes.Buffer // standard output of the command, which is not the terminal
	mu             sync.Mutex
	shown          string // everything that the terminal has shown
	ended, drained chan struct{}
}

// onScreen runs a command with a terminal as standard input and standard error.
func onScreen(t *testing.T, server *processtest.Server, args ...string) *screen {
	t.Helper()
	s := &screen{command: server.Command(t, args...), ended: make(chan struct{}), drained: make(chan struct{})}
	var err error
	if s.control, s.tty, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.control.Close(), s.tty.Close() })
	if s.before, err = term.GetState(int(s.tty.Fd())); err != nil {
		t.Fatal(err)
	}
	s.command.Stdin, s.command.Stdout, s.command.Stderr = s.tty, &s.stdout, s.tty
	s.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C is a signal
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // end checks the status
	}()
	go func() {
		defer close(s.drained)
		piece := make([]byte, 4096)
		for {
			n, err := s.control.Read(piece)
			s.mu.Lock()
			s.shown += string(piece[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// reply waits for a question and types the reply.
func (s *screen) reply(t *testing.T, question, typed string) {
	t.Helper()
	processtest.Eventually(t, question, func() bool { return strings.HasSuffix(s.text(), question) })
	if strings.HasSuffix(question, ": ") { // a password: wait until the echo is off
		processtest.Eventually(t, "the echo is off", func() bool { return !s.isAsBefore(t) })
	}
	if _, err := s.control.WriteString(typed); err != nil {
		t.Fatal(err)
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// isAsBefore reports whether the terminal has the same settings as before the command.
func (s *screen) isAsBefore(t *testing.T) bool {
	t.Helper()
	now, err := term.GetState(int(s.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(now, s.before)
}

// end waits until the command ends. It fails the test if the exit status is not the wanted one, or
// if the settings of the terminal have changed.
func (s *screen) end(t *testing.T, status int) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("the command does not end:\n%s", s.text())
	}
	asBefore := s.isAsBefore(t)
	if err := s.tty.Close(); err != nil { // the last one that is open, so reading from control ends
		t.Error(err)
	}
	<-s.drained
	if got := s.command.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d\n%s%s", got, status, s.text(), &s.stdout)
	}
	if !asBefore {
		t.Error("the settings of the terminal have changed")
	}
}

// On a terminal, the commands ask for a password twice and do not show it.
func TestPasswordOnTerminal(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	create := []string{"users", "create", "--email", "ada@example.com", "--name", "Ada"}

	s := onScreen(t, server, create...)
	s.reply(t, "Password: ", horse+"\n")
	s.reply(t, "Repeat password: ", better+"\n")
	s.end(t, 1)
	if !strings.Contains(s.text(), "the passwords do not match") || strings.Contains(s.text(), "horse") {
		t.Errorf("shown\n%s", s.text())
	}

	s = onScreen(t, server, create...)
	s.reply(t, "Password: ", "\x03") // Ctrl-C
	s.end(t, 1)
	if users := count(t, server); users != 0 {
		t.Errorf("%d users", users)
	}

	s = onScreen(t, server, create...)
	s.reply(t, "Password: ", horse+"\n")
	s.reply(t, "Repeat password: ", horse+"\n")
	s.end(t, 0)
	id := user(t, server, "ada@example.com").ID.String()
	if strings.TrimSpace(s.stdout.String()) != id || strings.Contains(s.text(), "horse") {
		t.Errorf("shown\n%s%s", s.text(), &s.stdout)
	}

	s = onScreen(t, server, "users", "set-password", "ada@example.com")
	s.reply(t, "Password: ", better+"\n")
	s.reply(t, "Repeat password: ", better+"\n")
	s.end(t, 0)
	if status, _ := tryLogin(t, server, "ada@example.com", better); status != http.StatusOK {
		t.Errorf("login with the new password: %d", status)
	}
}

// On a terminal, delete asks for confirmation. Only yes confirms.
func TestDeleteOnTerminal(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	id := server.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
	question := "Delete ada@example.com (" + id + ")? This cannot be undone. [y/N] "
	const ctrlC, ctrlD = "\x03", "\x04"
	for _, reply := range []string{"\n", "n\n", "ja\n", ctrlC, ctrlD, "y\n"} {
		if users := count(t, server); users != 1 {
			t.Fatalf("%d users before the reply %q", users, reply)
		}
		s := onScreen(t, server, "users", "delete", "ada@example.com")
		s.reply(t, question, reply)
		s.end(t, map[bool]int{true: 0, false: 1}[reply == "y\n"])
	}
	if users := count(t, server); users != 0 {
		t.Errorf("%d users", users)
	}
}

// On a terminal, an import shows its progress, which is not part of the report.
func TestImportOnTerminal(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	s := onScreen(t, server, "users", "import", writeUsers(t, 3000))
	s.end(t, 0)
	if !strings.Contains(s.text(), "importing") ||
		!strings.HasSuffix(s.text(), "3000 created, 0 already existed, 0 refused.\r\n") {
		t.Errorf("shown\n%q", s.text())
	}
	if lines := reported(t, s.stdout.String()); len(lines) != 3000 {
		t.Errorf("%d lines", len(lines))
	}
}
