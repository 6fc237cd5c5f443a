package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// reported reads a report, which is one line of JSON a line.
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

// count is how many rows there are of users.
func count(t *testing.T, p *processtest.Server) (rows int64) {
	t.Helper()
	db, err := database.Open(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.WithContext(t.Context()).Model(&auth.User{}).Count(&rows).Error, db.Close()); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Whatever hash a user brings, the password they have lets them in, and their hash is today's from then on.
func TestImportedUsersLogIn(t *testing.T) {
	hashes := map[string]string{ // of the password "correct horse": what other programs made
		"bcrypt":        "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"scrypt":        "$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE",
		"pbkdf2-sha256": "$pbkdf2-sha256$i=10$++++////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY",
		"pbkdf2-sha512": "$pbkdf2-sha512$i=10,l=64$++++////AQIDBA$PyS8+Rp06nxGs9KVFJPvSXyFF9xiBVvaXteWK/t3Xg+AhOe3YQMzEd1amFLT4BN8FrKAzBtZDYkbC4++UO8P/A",
		"passlib":       "$pbkdf2-sha512$1000$kHJOae09Z8w5h7A2BmCslQ$a84VdQG4OomQop41Xomu2X.cCfkMpxyRk4nDWB4RTnT4mxGwBKvd.GClYZC//mOdphYJ9n.7HV/Bh7HQNvY.7Q",
		"argon2i":       "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQwMTIz$YO4lVrjy6HuJlwlGK4RiSiqtKx5b1VzztYBLC0Y5T7k",
		"argon2id":      "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQwMTIz$K+8BdmbAaU1izHZ7TZgCT4o/9OGie/8/hjAOiojB7G0",
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		var file strings.Builder
		for name, hash := range hashes {
			fmt.Fprintf(&file, `{"email":"%s@Example.com","name":%q,"passwordHash":%q,"createdAt":"2001-02-03T04:05:06+01:00"}`+"\n", name, name, hash)
		}
		fmt.Fprintf(&file, `{"email":"disabled@example.com","name":"Disabled","passwordHash":%q,"disabled":true}`+"\n", hashes["scrypt"])
		fmt.Fprintln(&file, `{"email":"none@example.com","name":"None","bio":"has no password","id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`)
		status, report, stderr := p.Run(t, file.String(), "users", "import", "-")
		if want := fmt.Sprintf("%d created, 0 already existed, 0 refused.\n", len(hashes)+2); status != 0 || stderr != want {
			t.Fatalf("status %d\n%s%s", status, report, stderr)
		}
		for name, hash := range hashes {
			address := name + "@example.com"
			before := user(t, p, address)
			if before.PasswordHash != hash || !password.NewHasher(password.Config{}).Outdated(hash) || before.CreatedAt.Unix() != 981169506 {
				t.Errorf("%s is stored as %+v", name, before)
			}
			if status, _ := tryLogin(t, p, address, "correct horse "); status != http.StatusUnauthorized {
				t.Errorf("%s, another password: %d", name, status)
			}
			if status, _ := tryLogin(t, p, address, "correct horse"); status != http.StatusOK {
				t.Errorf("%s: %d", name, status)
			}
			if after := user(t, p, address); password.NewHasher(password.Config{}).Outdated(after.PasswordHash) || after.Generation != before.Generation {
				t.Errorf("%s is after a login %+v", name, after)
			}
			if status, _ := tryLogin(t, p, address, "correct horse"); status != http.StatusOK {
				t.Errorf("%s, by the hash of today: %d", name, status)
			}
		}
		for _, nobody := range []string{"disabled", "none"} {
			if status, _ := tryLogin(t, p, nobody+"@example.com", "correct horse"); status != http.StatusUnauthorized {
				t.Errorf("%s: %d", nobody, status)
			}
		}
		if none := user(t, p, "none@example.com"); none.ID.String() != "6ba7b810-9dad-11d1-80b4-00c04fd430c8" || *none.Bio != "has no password" {
			t.Errorf("%+v", none)
		}
	})
}

// A faulty line is that line's fault: it is refused with the reason, and those around it are imported. A dry run
// tells the same and stores nothing.
func TestImportReportsEveryLine(t *testing.T) {
	const hash = "$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE"
	user := func(name, more string) string {
		return fmt.Sprintf(`{"email":"%s@example.com","name":"N"%s}`, name, more)
	}
	lines := []struct{ text, outcome, reason string }{
		{user("a", ""), "created", ""},
		{user("present", ""), "exists", ""},
		{user("b", `,"passwordHash":"`+hash+`"`) + "\r", "created", ""},
		{"", "", ""},
		{" \t\r", "", ""},
		{user("c", `,"colour":"red"`), "refused", `unknown field "colour"`},
		{user("c", `,"email":"d@example.com"`), "refused", "a field is repeated"},
		{user("c", `,"bio":"`+strings.Repeat("x", maxLineLength)+`"`), "refused", "the line is longer than 65536 bytes"},
		{user("c", `,"bio":"`+"\xff"+`"`), "refused", "the line is not one JSON object in UTF-8"},
		{user("c", `,"bio":"\u0000"`), "refused", "a bio has at most"},
		{user("c", `,"bio":"\ud800"`), "refused", "the line is not one JSON object in UTF-8"},
		{user("c2", "") + "{}", "refused", "the line is not one JSON object in UTF-8"},
		{`{"email":"c`, "refused", "the line is not one JSON object in UTF-8"},
		{`["c@example.com"]`, "refused", "the line is not one JSON object in UTF-8"},
		{`null`, "refused", "not a valid email address"},
		{`{"name":"N"}`, "refused", "not a valid email address"},
		{user("c d", ""), "refused", "not a valid email address"},
		{`{"email":"e@example.com"}`, "refused", "a name has 1 to 100"},
		{user("f", `,"id":"6ba7b810"`), "refused", `the field "id" has the wrong type`},
		{user("f", `,"createdAt":"yesterday"`), "refused", `the field "createdAt" has`},
		{user("f", `,"disabled":"no"`), "refused", `the field "disabled" has`},
		{user("f", `,"passwordHash":7`), "refused", `the field "passwordHash" has`},
		{user("g", `,"passwordHash":"`+hash+`="`), "refused", "stored password hash is not valid"},
		{user("h", `,"passwordHash":"d41d8cd98f00b204e9800998ecf8427e"`), "refused", "none of argon2id"},
		{user("i", `,"passwordHash":"$argon2id$v=19$m=4194304,t=2,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE"`), "refused", "out of bounds"},
		{user("A", ""), "refused", "an earlier line has this email"},
		{user("j", `,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`), "created", ""},
		{user("k", `,"id":"6BA7B810-9dad-11d1-80b4-00c04fd430c8"`), "refused", "an earlier line has this id"},
		{user("present2", `,"id":"6ba7b811-9dad-11d1-80b4-00c04fd430c8"`), "refused", "the id and the email belong to different accounts"},
		{user("last", `,"passwordHash":null,"bio":null`), "created", ""},
	}
	var file strings.Builder
	wanted := make(map[string]int)
	for i, line := range lines {
		file.WriteString(strings.Repeat("\n", min(i, 1)) + line.text) // the last line has no end
		wanted[line.outcome]++
	}
	delete(wanted, "")
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		for _, name := range []string{"present", "present2"} {
			p.MustRun(t, "", "users", "create", "--email", name+"@example.com", "--name", "P", "--no-password")
		}
		path := filepath.Join(p.Folder, "users.ndjson")
		if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, run := range []struct {
			args  []string
			words string
			users int64
			again bool
		}{
			{[]string{"users", "import", "--dry-run", path}, "4 would be created, 1 already existed, 23 refused.\n", 2, false},
			{[]string{"users", "import", path}, "4 created, 1 already existed, 23 refused.\n", 6, false},
			{[]string{"users", "import", path}, "0 created, 5 already existed, 23 refused.\n", 6, true},
		} {
			status, report, stderr := p.Run(t, "", run.args...)
			if status != 1 || !strings.HasPrefix(stderr, run.words) || !strings.HasSuffix(stderr, "sesame: lines refused: 23\n") {
				t.Errorf("%v: status %d\n%s", run.args, status, stderr)
			}
			if strings.Contains(report+stderr, "nok2l9PGw") || strings.Contains(report+stderr, "d41d8cd98f") {
				t.Errorf("%v: a hash is reported:\n%s%s", run.args, report, stderr)
			}
			got := reported(t, report)
			for i, line := range lines {
				if line.outcome == "" {
					continue
				}
				if len(got) == 0 {
					t.Fatalf("%v: line %d is not reported", run.args, i+1)
				}
				want := line.outcome
				if run.again && want == "created" {
					want = "exists"
				}
				if got[0].Line != i+1 || got[0].Outcome != want || !strings.Contains(got[0].Reason, line.reason) || (got[0].Reason == "") != (line.reason == "") {
					t.Errorf("%v: line %d is reported as %+v, want %s, %s", run.args, i+1, got[0], want, line.reason)
				}
				got = got[1:]
			}
			if len(got) != 0 {
				t.Errorf("%v: reported too: %+v", run.args, got)
			}
			if users := count(t, p); users != run.users {
				t.Errorf("%v: %d users", run.args, users)
			}
		}
	})
}

// writeUsers writes a file of n users, and returns its path.
func writeUsers(t *testing.T, n int) string {
	t.Helper()
	var file bytes.Buffer
	for i := range n {
		fmt.Fprintf(&file, `{"email":"user%d@example.com","name":"User %d","passwordHash":"$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}`+"\n", i, i)
	}
	path := filepath.Join(t.TempDir(), "users.ndjson")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Killed in the middle, an import is run again: what was reported is there, and the rest follows.
func TestImportKilledAndRunAgain(t *testing.T) {
	const total = 20_000
	path := writeUsers(t, total)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		command := p.Command(t, "users", "import", path)
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
				break // what of a line was written when it was killed is none
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
			t.Fatal("it was done before it was killed")
		}
		first := reported(t, report.String())
		there := count(t, p)
		if len(first) < 3*auth.MaxImportBatch || there < int64(len(first)) || there >= total {
			t.Fatalf("%d reported and %d stored, of %d", len(first), there, total)
		}
		status, again, stderr := p.Run(t, "", "users", "import", path)
		if want := fmt.Sprintf("%d created, %d already existed, 0 refused.\n", total-there, there); status != 0 || stderr != want {
			t.Errorf("again: status %d, %s want %s", status, stderr, want)
		}
		for i, line := range reported(t, again) {
			if i < len(first) && (first[i].Outcome != created || line.Outcome != exists) {
				t.Fatalf("line %d was %s and is %s", i+1, first[i].Outcome, line.Outcome)
			}
		}
		if users := count(t, p); users != total {
			t.Errorf("%d users of %d", users, total)
		}
	})
}

// However many lines, an import takes no more memory than a server that hashes, and so does a list.
func TestImportTakesBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to read it from")
	}
	const total, most = 100_000, 96 << 10 // KiB
	path := writeUsers(t, total)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		for _, args := range [][]string{{"users", "import", "--dry-run", path}, {"users", "import", path}, {"users", "list", "--json"}, {"users", "list"}} {
			command := p.Command(t, args...)
			command.Env = append(command.Env, "GOGC=25") // less of what is garbage counts
			m := &meter{command: command}
			command.Stdout = m
			if err := command.Run(); err != nil || m.lines < total || m.lines > total+1 {
				t.Errorf("%v: %d lines, %v", args, m.lines, err)
			}
			if m.memory == 0 || m.memory > most {
				t.Errorf("%v took %d KiB", args, m.memory)
			}
		}
	})
}

// meter is a command's standard output. It counts lines, and with each piece looks at the most memory that the
// command has had, in KiB: what the system tells of a process that has ended includes its parent's.
type meter struct {
	command       *exec.Cmd
	lines, memory int
}

func (m *meter) Write(text []byte) (int, error) {
	m.lines += bytes.Count(text, []byte("\n"))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	if _, most, alive := strings.Cut(string(status), "VmHWM:"); alive {
		if _, err := fmt.Sscan(most, &m.memory); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

// A signal ends an import that waits for its input, with what it has read so far not imported.
func TestImportIsInterrupted(t *testing.T) {
	p := processtest.New(t, databasetest.SQLite)
	command := p.Command(t, "users", "import", "-")
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
	for range auth.MaxImportBatch { // the first batch is reported; of the second, which has one line, more may come
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = command.Wait()
	if command.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "stopped after line 1000; run it again to continue") {
		t.Errorf("%v\n%s", err, &stderr)
	}
	if users := count(t, p); users != auth.MaxImportBatch {
		t.Errorf("%d users", users)
	}
}

// What list prints, import takes: accounts go from one installation to another, without their passwords.
func TestListIsImportable(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		from, to := processtest.New(t, engine), processtest.New(t, engine)
		from.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada \"<é>\" 𝒜", "--bio", "", "--no-password")
		from.MustRun(t, horse, "users", "create", "--email", "grace@example.com", "--name", "Grace", "--password-stdin")
		from.MustRun(t, "", "users", "disable", "grace@example.com")
		list := from.MustRun(t, "", "users", "list", "--json")
		if status, report, stderr := to.Run(t, list, "users", "import", "-"); status != 0 || !strings.HasPrefix(stderr, "2 created") {
			t.Fatalf("status %d\n%s%s", status, report, stderr)
		}
		if copied := to.MustRun(t, "", "users", "list", "--json"); copied != list || strings.Contains(list, "argon2") {
			t.Errorf("%s\nbecame\n%s", list, copied)
		}
		outcomes := make(map[string]int)
		_, again, _ := to.Run(t, list, "users", "import", "-")
		for _, line := range reported(t, again) {
			outcomes[line.Outcome]++
		}
		if !maps.Equal(outcomes, map[string]int{exists: 2}) {
			t.Errorf("again: %v", outcomes)
		}
	})
}
