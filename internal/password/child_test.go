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
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What the test binary does instead of running tests, depending on its argument.
const (
	asWorker = "hash-worker"
	asExit   = "exit"  // exits immediately
	asOther  = "other" // does not use the protocol
	asMute   = "mute"  // never becomes ready
	asStuck  = "stuck" // becomes ready, but never responds
)

func TestMain(m *testing.M) {
	if len(os.Args) != 2 {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case asWorker:
		err = ServeWorker(os.Stdin, os.Stdout)
	case asExit:
		var self *os.Process
		if self, err = os.FindProcess(os.Getpid()); err == nil {
			err = self.Kill() // os.Exit takes a second with the race detector
		}
	case asOther:
		_, err = os.Stdout.WriteString("sesame: unknown command")
	case asMute:
		_, err = io.Copy(io.Discard, os.Stdin)
	case asStuck:
		_ = writeMessage(os.Stdout, response{})
		_, err = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// testBinary returns the command that runs the test binary with this argument.
func testBinary(t *testing.T, as string) []string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{executable, as}
}

// withChildren returns a hasher that hashes in child processes, and its log.
func withChildren(t *testing.T, atOnce int, worker []string) (*Hasher, *bytes.Buffer) {
	t.Helper()
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

// A single child makes a hash, and verifies hashes of all algorithms.
func TestChildHashes(t *testing.T) {
	h, log := withChildren(t, 1, testBinary(t, asWorker))
	newHash, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil || h.Outdated(newHash) {
		t.Fatalf("%s, %v", newHash, err)
	}
	for hash, password := range map[string]string{
		newHash: "correct horse",
		"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8":     "password",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc":    "password",
		"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                            "U*U",
		"$pbkdf2-sha256$1000$eO89p3TuXQuhtJZSynnvnQ$K3UzUd2J5BmiIqkF2HFQJ8MsWwsej1yAQ9veaCTIsG4":  "correct horse",
		"$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE": "correct horse",
	} {
		for attempt, want := range map[string]bool{
			password: true, password + "x": false, "": false, "\a": false, "bad \xff utf-8": false,
			// As long as the API accepts; normalization makes it three times longer.
			strings.Repeat("\U0001D160", 1024): false,
		} {
			if got, err := h.Verify(t.Context(), attempt, hash); got != want || err != nil {
				t.Errorf("%q for %s: %v, %v", attempt, hash, got, err)
			}
		}
	}
	if children := h.idleChildren(); len(children) != 1 {
		t.Errorf("%d children, want 1", len(children))
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

// If a child dies, its current request fails, or the next one. Then another child is started.
func TestChildDies(t *testing.T) {
	const (
		password = "correct horse"
		slow     = "$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" // takes a second
	)
	h, _ := withChildren(t, 1, testBinary(t, asWorker))
	for name, fail := range map[string]func(*child) error{
		"idle": func(c *child) error {
			if err := errors.Join(c.command.Process.Kill(), waitFor(c)); err != nil {
				t.Fatal(err)
			}
			_, err := h.Hash(t.Context(), New{password})
			return err
		},
		"working": func(c *child) error {
			failed := make(chan error)
			go func() {
				_, err := h.Verify(t.Context(), password, slow)
				failed <- err
			}()
			for len(h.idleChildren()) > 0 {
				time.Sleep(time.Millisecond)
			}
			if err := c.command.Process.Kill(); err != nil {
				t.Error(err)
			}
			return <-failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := h.Hash(t.Context(), New{password}); err != nil {
				t.Fatal(err)
			}
			dying := h.idleChildren()[0]
			if err := fail(dying); !errors.Is(err, ErrBusy) {
				t.Errorf("the dead child: %v", err)
			}
			if hash, err := h.Hash(t.Context(), New{password}); err != nil || h.Outdated(hash) {
				t.Errorf("the next child: %q, %v", hash, err)
			}
			if children := h.idleChildren(); len(children) != 1 || children[0] == dying {
				t.Errorf("children: %v", children)
			}
		})
	}
}

// waitFor returns when the process has ended.
func waitFor(c *child) error {
	_, err := c.command.Process.Wait()
	return err
}

// The signals that stop the server may be sent to the whole process group. Children ignore them.
func TestChildIgnoresSignals(t *testing.T) {
	h, _ := withChildren(t, 1, testBinary(t, asWorker))
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil {
			t.Fatal(err)
		}
		c := h.idleChildren()[0]
		if err := c.command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil || h.idleChildren()[0] != c {
			t.Errorf("after %v: %v", signal, err)
		}
	}
}

// If no child can be started, the hasher logs one warning and hashes in this process.
func TestNoChild(t *testing.T) {
	for name, worker := range map[string][]string{
		"no program":        {"/nowhere/sesame", asWorker},
		"exits immediately": testBinary(t, asExit),
		"another program":   testBinary(t, asOther),
	} {
		t.Run(name, func(t *testing.T) {
			h, log := withChildren(t, 1, worker)
			for range 3 {
				hash, err := h.Hash(t.Context(), New{"correct horse"})
				if err != nil {
					t.Fatal(err)
				}
				if matches, err := h.Verify(t.Context(), "correct horse", hash); !matches || err != nil {
					t.Errorf("%v, %v", matches, err)
				}
			}
			logged := log.String()
			if strings.Count(logged, "\n") != 1 || !strings.Contains(logged, "level=WARN") ||
				!strings.Contains(logged, worker[0]) {
				t.Errorf("logged: %s", logged)
			}
		})
	}
}

// A child that does not respond in time is killed.
func TestChildIsLate(t *testing.T) {
	if c, err := startChild(testBinary(t, asMute), 10*time.Millisecond); err == nil {
		c.stop()
		t.Error("startChild returned a child that never became ready")
	}
	c, err := startChild(testBinary(t, asStuck), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	c.limit = 10 * time.Millisecond
	if result, err := c.do(request{Parameters: WeakParameters}); err == nil {
		t.Errorf("got %+v from a child that does not respond", result)
	}
}

// There are never more children than hashes at once, and each request gets its own response.
func TestChildrenAtOnce(t *testing.T) {
	const atOnce = 4
	h, _ := withChildren(t, atOnce, testBinary(t, asWorker))
	var callers sync.WaitGroup
	for caller := range 4 * atOnce {
		callers.Go(func() {
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
	callers.Wait()
	if children := h.idleChildren(); len(children) != atOnce {
		t.Errorf("%d children, want %d", len(children), atOnce)
	}
}

// If a context ends while a child works, the response is not returned to the next request.
func TestCancelWhileHashing(t *testing.T) {
	h, _ := withChildren(t, 1, testBinary(t, asWorker))
	hash, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		_, _ = h.Verify(ctx, "another", hash) // may be canceled at any point
		cancel()
		if matches, err := h.Verify(t.Context(), "correct horse", hash); !matches || err != nil {
			t.Fatalf("%v, %v", matches, err)
		}
	}
}

// A child is stopped after a minute without a request.
func TestIdleChildIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := withChildren(t, 1, testBinary(t, asWorker))
		hash := func() *child {
			t.Helper()
			if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil {
				t.Fatal(err)
			}
			return h.idleChildren()[0]
		}
		first := hash()
		for range 3 {
			time.Sleep(maxIdle - time.Second)
			if again := hash(); again != first {
				t.Error("a child in use was stopped")
			}
		}
		time.Sleep(maxIdle)
		synctest.Wait()
		if first.command.ProcessState == nil || len(h.idleChildren()) != 0 {
			t.Error("the idle child still runs")
		}
		if hash() == first {
			t.Error("the stopped child was used")
		}
	})
}

// Close stops idle children immediately, and the others after their current hash.
func TestClose(t *testing.T) {
	h, _ := withChildren(t, 1, testBinary(t, asWorker))
	if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil {
		t.Fatal(err)
	}
	c := h.idleChildren()[0]
	h.Close()
	if c.command.ProcessState == nil {
		t.Error("the idle child still runs")
	}
	if _, err := h.Hash(t.Context(), New{"correct horse"}); err != nil || len(h.idleChildren()) != 0 {
		t.Errorf("a hash in flight: %v, %d idle children", err, len(h.idleChildren()))
	}
}

// A worker ends when its input does, and returns an error for anything that is not a request.
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
	serve := func(in io.Reader) (responses []response, err error) {
		out.Reset()
		err = serveRequests(in, &out)
		for {
			var r response
			if readMessage(&out, &r) != nil {
				return responses, err
			}
			responses = append(responses, r)
		}
	}
	responses, err := serve(&in)
	if err != nil || len(responses) != 3 || responses[0] != (response{}) ||
		!strings.HasPrefix(responses[1].Hash, "$argon2id$") || !responses[2].Matches {
		t.Errorf("%+v, %v", responses, err)
	}
	const tooExpensive = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	var outOfBounds bytes.Buffer
	if err := writeMessage(&outOfBounds, request{Verify: tooExpensive}); err != nil {
		t.Fatal(err)
	}
	valid := `{"Verify":"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}`
	for name, message := range map[string]string{
		"half a length":        "\x00\x00",
		"half a message":       "\x00\x00\x00\x10{}",
		"a message too long":   "\x00\x01\x00\x01" + fmt.Sprintf("%-*s", maxMessage+1, valid),
		"not JSON":             "\x00\x00\x00\x01x",
		"a hash out of bounds": outOfBounds.String(),
	} {
		if responses, err := serve(strings.NewReader(message)); err == nil || len(responses) != 1 {
			t.Errorf("%s: %+v, %v", name, responses, err)
		}
	}
	if err := writeMessage(&out, response{Hash: strings.Repeat("x", maxMessage)}); err == nil {
		t.Error("writeMessage wrote a message that is too long")
	}
}
