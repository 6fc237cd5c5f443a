package main

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// TestScripts runs testdata/*.txt, which use the built program as an operator does in a terminal.
// Each script starts with an empty database, free ports and an empty folder. $SMTP_URL is a mail
// server that rejects recipients under rejected.example. $TLS_CERT and $TLS_KEY are a certificate
// for 127.0.0.1, and $TLS_CA is its authority. In addition to the commands of testscript
// there are:
//
//	fails STATUS PROGRAM ARGS…  run a program that must exit with this status and print nothing to standard output
//	capture NAME                set a variable to the standard output of the last command
//	ready                       wait until the server is ready
//	empty-postgres NAME         set a variable to the URL of a new PostgreSQL database, and PGPASSWORD to its password
//
// The conditions [sqlite] and [postgres] are the engine that the script runs on.
//
// With -update, the output that a script expects with cmp is replaced by the actual one.
func TestScripts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		testscript.Run(t, testscript.Params{
			Dir:           "testdata",
			Setup:         func(env *testscript.Env) error { return setUpScript(env, engine) },
			UpdateScripts: *update,
			Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
				"fails": fails, "capture": capture, "ready": ready, "empty-postgres": emptyPostgres,
			},
			Condition: func(name string) (bool, error) { return name == string(engine), nil },
		})
	})
}

func setUpScript(env *testscript.Env, engine databasetest.Engine) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("the script does not run in a test")
	}
	program := processtest.Binary(t)
	repository, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	env.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("REPOSITORY", repository)
	env.Setenv("SESAME_DRAIN_DELAY", "0s")
	env.Setenv("ANOTHER_ADDR", porttest.Address(t))
	env.Setenv("ANOTHER_ADMIN_ADDR", porttest.Address(t))
	env.Setenv("SESAME_ADDR", porttest.Address(t))
	env.Setenv("SESAME_ADMIN_ADDR", porttest.Address(t))
	ca := certtest.NewAuthority(t)
	cert, key := ca.IssuePEM(t, "127.0.0.1", time.Now().Add(time.Hour))
	folder := t.TempDir()
	for name, content := range map[string]string{"TLS_CERT": cert, "TLS_KEY": key, "TLS_CA": string(ca.PEM())} {
		path := filepath.Join(folder, name+".pem")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		env.Setenv(name, path)
	}
	mailServer := &mailtest.Server{OnRcpt: func(to string) error {
		if strings.HasSuffix(to, "@rejected.example") {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}}
		}
		return nil
	}}
	env.Values[testKey{}] = t
	env.Setenv("SMTP_URL", mailServer.Start(t).URL())
	if engine == databasetest.Postgres {
		env.Setenv("SESAME_DATABASE_URL", databasetest.URL(t, engine))
		env.Setenv("SESAME_SECRET", processtest.Secret)
	}
	return nil
}

func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS PROGRAM ARGS…")
	}
	status := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("a failing command printed to standard output")
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	ts.Setenv(args[0], strings.TrimSuffix(ts.ReadFile("stdout"), "\n"))
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: ready")
	}
	deadline := time.Now().Add(30 * time.Second)
	for ts.Exec("sesame", "healthcheck") != nil {
		if time.Now().After(deadline) {
			ts.Fatalf("the server is not ready after 30 seconds")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// testKey is the key of the test of a script.
type testKey struct{}

func emptyPostgres(ts *testscript.TestScript, neg bool, args []string) {
	t, ok := ts.Value(testKey{}).(testing.TB)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: empty-postgres NAME")
	}
	parsed, err := url.Parse(databasetest.Empty(t, databasetest.Postgres))
	ts.Check(err)
	password, _ := parsed.User.Password()
	parsed.User = url.User(parsed.User.Username())
	ts.Setenv(args[0], parsed.String())
	ts.Setenv("PGPASSWORD", password)
}
