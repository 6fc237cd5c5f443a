package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// reported parses the report of an import.
func reported(t *testing.T, report string) []reportLine {
	t.Helper()
	var lines []reportLine
	for text := range strings.Lines(report) {
		var line struct {
			Line                   int
			Email, Outcome, Reason string
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, reportLine(line))
	}
	return lines
}

// count returns the number of users in the database.
func count(t *testing.T, server *processtest.Server) (rows int64) {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	err = db.WithContext(t.Context()).Model(&auth.User{}).Count(&rows).Error
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return rows
}

// importedHashes are hashes of the password "correct horse", made by other programs.
var importedHashes = map[string]string{
	"bcrypt":        "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
	"scrypt":        "$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE",
	"pbkdf2-sha256": "$pbkdf2-sha256$i=10$++++////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY",
	"pbkdf2-sha512": "$pbkdf2-sha512$i=10,l=64$++++////AQIDBA$" +
		"PyS8+Rp06nxGs9KVFJPvSXyFF9xiBVvaXteWK/t3Xg+AhOe3YQMzEd1amFLT4BN8FrKAzBtZDYkbC4++UO8P/A",
	"passlib": "$pbkdf2-sha512$1000$kHJOae09Z8w5h7A2BmCslQ$" +
		"a84VdQG4OomQop41Xomu2X.cCfkMpxyRk4nDWB4RTnT4mxGwBKvd.GClYZC//mOdphYJ9n.7HV/Bh7HQNvY.7Q",
	"argon2i":  "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQwMTIz$YO4lVrjy6HuJlwlGK4RiSiqtKx5b1VzztYBLC0Y5T7k",
	"argon2id": "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQwMTIz$K+8BdmbAaU1izHZ7TZgCT4o/9OGie/8/hjAOiojB7G0",
}

// Users log in with the password of the imported hash. The first login replaces the hash with one
// of the current cost.
func TestImportedUsersLogIn(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		var file strings.Builder
		for name, hash := range importedHashes {
			const line = `{"email":"%s@Example.com","name":%q,"passwordHash":%q,"createdAt":"2001-02-03T04:05:06+01:00"}`
			fmt.Fprintf(&file, line+"\n", name, name, hash)
		}
		fmt.Fprintf(&file, `{"email":"disabled@example.com","name":"Disabled","passwordHash":%q,"disabled":true}`+"\n",
			importedHashes["scrypt"])
		const noneID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
		fmt.Fprintf(&file, `{"email":"none@example.com","name":"None","bio":"has no password","id":%q}`+"\n", noneID)
		status, report, stderr := server.Run(t, file.String(), "users", "import", "-")
		want := fmt.Sprintf("%d created, 0 already existed, 0 refused.\n", len(importedHashes)+2)
		if status != 0 || stderr != want {
			t.Fatalf("status %d\n%s%s", status, report, stderr)
		}

		for name, hash := range importedHashes {
			expectImportedLogin(t, server, name+"@example.com", hash)
		}
		for _, name := range []string{"disabled", "none"} {
			if status, _ := tryLogin(t, server, name+"@example.com", "correct horse"); status != http.StatusUnauthorized {
				t.Errorf("%s: login: %d", name, status)
			}
		}
		if none := user(t, server, "none@example.com"); none.ID.String() != noneID || *none.Bio != "has no password" {
			t.Errorf("stored %+v", none)
		}
	})
}

// expectImportedLogin fails the test if an imported user with this hash cannot log in, twice.
func expectImportedLogin(t *testing.T, server *processtest.Server, email, hash string) {
	t.Helper()
	hasher := password.NewHasher(password.Config{})
	before := user(t, server, email)
	if before.PasswordHash != hash || !hasher.Outdated(hash) || before.CreatedAt.Unix() != 981169506 {
		t.Errorf("%s is stored as %+v", email, before)
	}
	if status, _ := tryLogin(t, server, email, "correct horse "); status != http.StatusUnauthorized {
		t.Errorf("%s: login with another password: %d", email, status)
	}
	if status, _ := tryLogin(t, server, email, "correct horse"); status != http.StatusOK {
		t.Errorf("%s: login: %d", email, status)
	}
	after := user(t, server, email)
	if hasher.Outdated(after.PasswordHash) || after.Generation != before.Generation {
		t.Errorf("%s is stored after the login as %+v", email, after)
	}
	if status, _ := tryLogin(t, server, email, "correct horse"); status != http.StatusOK {
		t.Errorf("%s: login with the new hash: %d", email, status)
	}
}

// writeUsers writes a file of n users and returns its path.
func writeUsers(t *testing.T, n int) string {
	t.Helper()
	const hash = "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	var file bytes.Buffer
	for i := range n {
		fmt.Fprintf(&file, `{"email":"user%d@example.com","name":"User %d","passwordHash":%q}`+"\n", i, i, hash)
	}
	path := filepath.Join(t.TempDir(), "users.ndjson")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An import that was killed can be run again: the users that it reported are stored, and the rest
// is imported.
func TestImportAfterKill(t *testing.T) {
	const total = 20_000
	path := writeUsers(t, total)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.MustRun(t, "", "migrate")
		command := server.Command(t, "users", "import", path)
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		var report strings.Builder
		lines := bufio.NewReader(output)
		for killed := false; ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // the last line may be incomplete
			}
			report.WriteString(line)
			if !killed && strings.Count(report.String(), "\n") > 3*auth.MaxImportBatch {
				killed = true
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := command.Wait(); err == nil {
			t.Fatal("the import ended before it was killed")
		}
		first := reported(t, report.String())
		stored := count(t, server)
		if len(first) < 3*auth.MaxImportBatch || stored < int64(len(first)) || stored >= total {
			t.Fatalf("%d reported and %d stored, of %d", len(first), stored, total)
		}
		status, again, stderr := server.Run(t, "", "users", "import", path)
		want := fmt.Sprintf("%d created, %d already existed, 0 refused.\n", total-stored, stored)
		if status != 0 || stderr != want {
			t.Errorf("again: status %d, %s want %s", status, stderr, want)
		}
		for i, line := range reported(t, again) {
			if i < len(first) && (first[i].Outcome != created || line.Outcome != exists) {
				t.Fatalf("line %d was reported as %s, and then as %s", i+1, first[i].Outcome, line.Outcome)
			}
		}
		if users := count(t, server); users != total {
			t.Errorf("%d users of %d", users, total)
		}
	})
}

// The memory of an import and of a list does not depend on the number of users.
func TestImportUsesBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the memory is read from /proc")
	}
	const total, limit = 100_000, 96 << 10 // KiB
	path := writeUsers(t, total)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.MustRun(t, "", "migrate")
		for _, args := range [][]string{
			{"users", "import", "--dry-run", path}, {"users", "import", path}, {"users", "list", "--json"}, {"users", "list"},
		} {
			command := server.Command(t, args...)
			command.Env = append(command.Env, "GOGC=25") // so that less garbage is counted
			m := &meter{command: command}
			command.Stdout = m
			if err := command.Run(); err != nil || m.lines < total || m.lines > total+1 {
				t.Errorf("%v: %d lines, %v", args, m.lines, err)
			}
			if m.memory == 0 || m.memory > limit {
				t.Errorf("%v used %d KiB", args, m.memory)
			}
		}
	})
}

// meter is the standard output of a command. It counts lines, and with each write reads the peak
// memory of the command, in KiB. The operating system also reports a peak after the command has
// ended, but that one includes the parent.
type meter struct {
	command       *exec.Cmd
	lines, memory int
}

func (m *meter) Write(text []byte) (int, error) {
	m.lines += bytes.Count(text, []byte("\n"))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.command.Process.Pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // the command has ended
		return len(text), nil
	}
	if err != nil {
		return 0, err
	}
	if _, peak, alive := strings.Cut(string(status), "VmHWM:"); alive {
		if _, err := fmt.Sscan(peak, &m.memory); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

// A signal stops an import that waits for input. It does not import an incomplete batch.
func TestImportInterrupted(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	command := server.Command(t, "users", "import", "-")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(writeUsers(t, auth.MaxImportBatch+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := input.Write(whole); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	for range auth.MaxImportBatch { // the second batch has one line and is not complete
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = command.Wait()
	if command.ProcessState.ExitCode() != 1 ||
		!strings.Contains(stderr.String(), "stopped after line 1000; run it again to continue") {
		t.Errorf("%v\n%s", err, &stderr)
	}
	if users := count(t, server); users != auth.MaxImportBatch {
		t.Errorf("%d users", users)
	}
}
