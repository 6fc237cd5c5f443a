package password

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// asWorker makes the test's binary a hash worker.
const asWorker = "hash-worker"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asWorker {
		if err := ServeWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// withChildren returns a hasher that hashes in child processes, and what it logs.
func withChildren(t *testing.T, atOnce int, worker ...string) (*Hasher, *bytes.Buffer) {
	t.Helper()
	if worker == nil {
		executable, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		worker = []string{executable, asWorker}
	}
	var log bytes.Buffer
	h := NewHasher(Config{
		AtOnce: atOnce, Wait: time.Minute, Parameters: WeakParameters,
		Worker: worker, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	t.Cleanup(h.Close)
	return h, &log
}

// idleChildren returns the children that are not working.
func (h *Hasher) idleChildren() []*child {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*child(nil), h.idle...)
}

// Every kind of hash is made and verified by a child, one after another.
func TestChildHashes(t *testing.T) {
	h, log := withChildren(t, 1)
	made, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil || h.Outdated(made) {
		t.Fatalf("%s, %v", made, err)
	}
	for hash, password := range map[string]string{
		made: "correct horse",
		"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8":     "password",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc":    "password",
		"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                            "U*U",
		"$pbkdf2-sha256$1000$eO89p3TuXQuhtJZSynnvnQ$K3UzUd2J5BmiIqkF2HFQJ8MsWwsej1yAQ9veaCTIsG4":  "correct horse",
		"$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE": "correct horse",
	} {
		for attempt, want := range map[string]bool{password: true, password + "x": false, "": false, "\a": false, "bad \xff utf-8": false} {
			if got, err := h.Verify(t.Context(), attempt, hash); got != want || err != nil {
				t.Errorf("%q for %s: %v, %v", attempt, hash, got, err)
			}
		}
	}
	if children := h.idleChildren(); len(children) != 1 {
		t.Errorf("%d children for one hash at a time", len(children))
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

// A child that dies fails the request that it works on. The next one gets another child.
func TestChildDies(t *testing.T) {
	h, _ := withChildren(t, 1)
	hash, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	dying := h.idleChildren()[0]
	if err := dying.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := dying.command.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), "correct horse", hash); !errors.Is(err, ErrBusy) {
		t.Errorf("with a dead child: %v", err)
	}
	if matches, err := h.Verify(t.Context(), "correct horse", hash); !matches || err != nil {
		t.Errorf("with the next one: %v, %v", matches, err)
	}
	if children := h.idleChildren(); len(children) != 1 || children[0] == dying {
		t.Errorf("children: %v", children)
	}
}

// Where no child can be started the hasher says so once, and hashes in this process.
func TestNoChild(t *testing.T) {
	h, log := withChildren(t, 1, "/nowhere/sesame", asWorker)
	for range 3 {
		hash, err := h.Hash(t.Context(), New{"correct horse"})
		if err != nil {
			t.Fatal(err)
		}
		if matches, err := h.Verify(t.Context(), "correct horse", hash); !matches || err != nil {
			t.Errorf("%v, %v", matches, err)
		}
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "/nowhere/sesame") {
		t.Errorf("logged: %s", said)
	}
}

// A child that is not a worker, or responds with nonsense, fails requests but not the server.
func TestChildRespondsWithNonsense(t *testing.T) {
	for _, command := range [][]string{{"/bin/true"}, {"/bin/cat"}, {"/bin/echo", "nonsense that is longer than a length"}} {
		h, _ := withChildren(t, 1, command...)
		if _, err := h.Hash(t.Context(), New{strings.Repeat("x", 128)}); !errors.Is(err, ErrBusy) && command[0] != "/bin/cat" {
			t.Errorf("%s: %v", command[0], err)
		}
		if hash, err := h.Hash(t.Context(), New{"x"}); err == nil && hash != "" {
			t.Errorf("%s: made %q", command[0], hash)
		}
	}
}

// As many children as hashes at once, and never a response to another request.
func TestChildrenAtOnce(t *testing.T) {
	const atOnce = 4
	h, _ := withChildren(t, atOnce)
	var all sync.WaitGroup
	for caller := range 4 * atOnce {
		all.Go(func() {
			password := fmt.Sprintf("password of caller %d", caller)
			for range 20 {
				hash, err := h.Hash(t.Context(), New{password})
				if err != nil {
					t.Error(err)
					return
				}
				if matches, err := h.Verify(t.Context(), password, hash); !matches || err != nil {
					t.Errorf("caller %d: %v, %v", caller, matches, err)
				}
			}
		})
	}
	all.Wait()
	if children := h.idleChildren(); len(children) == 0 || len(children) > atOnce {
		t.Errorf("%d children for %d at once", len(children), atOnce)
	}
}

// A context that ends while a child works does not leave a response behind for the next request.
func TestCancelWhileHashing(t *testing.T) {
	h, _ := withChildren(t, 1)
	own, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		_, _ = h.Verify(ctx, "another", own)
		cancel()
		if matches, err := h.Verify(t.Context(), "correct horse", own); !matches || err != nil {
			t.Fatalf("%v, %v", matches, err)
		}
	}
}

// An idle child is stopped, and Close stops the others.
func TestIdleChildIsStopped(t *testing.T) {
	h, _ := withChildren(t, 1)
	for range 2 {
		if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil {
			t.Fatal(err)
		}
		c := h.idleChildren()[0]
		h.expire(c) // as its timer does
		if c.command.ProcessState == nil || len(h.idleChildren()) != 0 {
			t.Error("the idle child still runs")
		}
	}
	if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil {
		t.Fatal(err)
	}
	c := h.idleChildren()[0]
	if !c.expiry.Stop() { // it was running
		t.Error("no timer stops the idle child")
	}
	h.Close()
	if c.command.ProcessState == nil {
		t.Error("the child outlives its hasher")
	}
	if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil || len(h.idleChildren()) != 0 {
		t.Errorf("a hash that was in flight: %v, %d children kept", err, len(h.idleChildren()))
	}
}

// A worker ends when its input does, and refuses what is not a request.
func TestServeWorker(t *testing.T) {
	var in, out bytes.Buffer
	for _, r := range []request{
		{Password: []byte("correct horse"), Parameters: WeakParameters},
		{Password: []byte("U*U"), Verify: "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	} {
		if err := writeMessage(&in, r); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(in io.Reader) (string, error) {
		out.Reset()
		pipe, end := io.Pipe()
		done := make(chan error, 1)
		go func() {
			defer func() { _ = end.Close() }()
			_, err := io.Copy(end, in)
			done <- err
		}()
		err := serveRequests(pipe, &out)
		_ = pipe.Close()
		<-done
		return out.String(), err
	}
	said, err := serve(&in)
	var made, verified response
	responses := strings.NewReader(said)
	if err := errors.Join(err, readMessage(responses, &made), readMessage(responses, &verified)); err != nil || !verified.Matches || !strings.HasPrefix(made.Hash, "$argon2id$") {
		t.Errorf("%+v, %+v, %v", made, verified, err)
	}
	for name, message := range map[string]string{
		"half a length":      "\x00\x00",
		"half a message":     "\x00\x00\x00\x10{}",
		"a message too long": "\x00\x01\x00\x01" + strings.Repeat(" ", maxMessage+1),
		"not JSON":           "\x00\x00\x00\x01x",
		"a hash out of bounds": func() string {
			var b bytes.Buffer
			_ = writeMessage(&b, request{Verify: "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"})
			return b.String()
		}(),
	} {
		if said, err := serve(strings.NewReader(message)); err == nil || said != "" {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	if err := writeMessage(&out, response{Hash: strings.Repeat("x", maxMessage)}); err == nil {
		t.Error("a message that is too long was sent")
	}
}
