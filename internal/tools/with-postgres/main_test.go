package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// asProgram makes the test binary behave as with-postgres.
const asProgram = "TEST_AS_WITH_POSTGRES"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestRunsTheCommandWithACluster(t *testing.T) {
	temp := tempDir(t)
	cmd := withPostgres(t, `printf %s "$SESAME_TEST_POSTGRES_URL"; ls "$TMPDIR" >&2; exit 3`)
	var listing strings.Builder
	cmd.Stderr = &listing
	output, err := cmd.Output()
	expectStatus(t, err, 3)
	if !strings.HasPrefix(string(output), "postgres://") || listing.Len() == 0 {
		t.Errorf("the command got the URL %q and the folders %q", output, listing.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestDurable(t *testing.T) {
	for _, test := range []struct{ flag, want string }{{"", "off"}, {"-durable", "on"}} {
		tempDir(t)
		cmd := withPostgres(t, `echo "$SESAME_TEST_POSTGRES_URL"; read -r _`)
		if test.flag != "" {
			cmd.Args = slices.Insert(cmd.Args, 1, test.flag)
		}
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		url, _ := startAndReadLine(t, cmd)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			var got string
			err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got)
			if err != nil || got != test.want {
				t.Errorf("with the flag %q, %s is %q, want %q: %v", test.flag, setting, got, test.want, err)
			}
		}
		_, _ = io.WriteString(input, "\n")
		expectStatus(t, errors.Join(conn.Close(t.Context()), input.Close(), cmd.Wait()), 0)
	}
}

func TestKeepsAGivenServer(t *testing.T) {
	temp := tempDir(t)
	cmd := withPostgres(t, `printf %s "$SESAME_TEST_POSTGRES_URL"; ls "$TMPDIR"`)
	cmd.Env = append(cmd.Env, variable+"=given")
	output, err := cmd.Output()
	expectStatus(t, err, 0)
	if string(output) != "given" {
		t.Errorf("the command got %q, want the given URL and no folder in %s", output, temp)
	}
}

func TestForwardsSignals(t *testing.T) {
	for s, want := range map[syscall.Signal]string{syscall.SIGINT: "got INT\n", syscall.SIGTERM: "got TERM\n"} {
		t.Run(s.String(), func(t *testing.T) {
			temp := tempDir(t)
			cmd := withPostgres(t, `trap 'echo got INT; exit 4' INT; trap 'echo got TERM; exit 4' TERM
				echo ready; while :; do sleep 0.05; done`)
			_, output := startAndReadLine(t, cmd)
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(output)
			expectStatus(t, cmd.Wait(), 4)
			if string(rest) != want {
				t.Errorf("the command wrote %q, want %q", rest, want)
			}
			if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestStatusAfterASignal(t *testing.T) {
	cmd := withPostgres(t, `kill -KILL $$`)
	cmd.Env = append(cmd.Env, variable+"=given")
	expectStatus(t, cmd.Run(), 128+int(syscall.SIGKILL))
}

func TestStatusOfAMissingCommand(t *testing.T) {
	cmd := withPostgres(t, "")
	cmd.Args = []string{cmd.Args[0], "/no/such/command"}
	cmd.Env = append(cmd.Env, variable+"=given")
	expectStatus(t, cmd.Run(), 127)
}

func TestServerEndsWithAKilledParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can kill a process when its parent ends")
	}
	tempDir(t)
	cmd := withPostgres(t, `echo "$SESAME_TEST_POSTGRES_URL"; exec sleep 2`)
	url, _ := startAndReadLine(t, cmd)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), url)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			_ = conn.Close(t.Context())
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server still runs: %v", err)
		}
	}
}

// withPostgres returns this program with a shell script as its command.
func withPostgres(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "sh", "-c", script)
	cmd.Env = append(os.Environ(), asProgram+"=1", variable+"=",
		"GORACE=atexit_sleep_ms=0") // otherwise the race detector waits a second at every exit
	cmd.Stderr = os.Stderr
	return cmd
}

// tempDir creates an empty TMPDIR to which the server's user has access.
func tempDir(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	return folder
}

// startAndReadLine starts the command and waits for the first line of its output. It
// returns the line and the rest of the output.
func startAndReadLine(t *testing.T, cmd *exec.Cmd) (line string, rest io.Reader) {
	t.Helper()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewReader(pipe)
	line, err = output.ReadString('\n')
	if err != nil {
		t.Fatalf("the command wrote %q: %v, %v", line, err, cmd.Wait())
	}
	return strings.TrimSpace(line), output
}

func expectStatus(t *testing.T, err error, want int) {
	t.Helper()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got, err = exit.ExitCode(), nil
	}
	if got != want || err != nil {
		t.Errorf("exit status %d, %v, want %d", got, err, want)
	}
}
