package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// peakMiB returns the largest amount of memory that a process has used.
func peakMiB(t *testing.T, pid int) (mebibytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, found := strings.Cut(string(status), "\nVmHWM:")
	if _, err := fmt.Sscan(peak, &mebibytes); err != nil || !found {
		t.Fatalf("no VmHWM in\n%s", status)
	}
	return mebibytes / 1024
}

// A flood of logins uses a limited amount of memory: 500 hashes at once would use 10 GiB. Those
// that wait too long are refused, and the server works as usual afterwards.
func TestMemoryOfAFlood(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_THROTTLE=off")
		server.Start(t)
		server.Login(t)
		var clients sync.WaitGroup
		var wrong, busy atomic.Int64
		for client := range 500 {
			clients.Go(func() {
				status, _ := server.Post(t, "/auth/login", fmt.Sprintf(`{"email":"%d@example.com","password":"wrong"}`, client))
				switch status {
				case http.StatusUnauthorized:
					wrong.Add(1)
				case http.StatusServiceUnavailable:
					busy.Add(1)
				default:
					t.Errorf("login: %d", status)
				}
			})
		}
		clients.Wait()
		ofServer, pids := peakMiB(t, server.Process.Pid), children(t, server)
		t.Logf("%d wrong passwords, %d refused while busy; the server used %d MiB", wrong.Load(), busy.Load(), ofServer)
		if ofServer > 400 {
			t.Errorf("the server used %d MiB", ofServer)
		}
		if len(pids) > runtime.NumCPU() {
			t.Errorf("%d child processes", len(pids))
		}
		for _, pid := range pids {
			if peak := peakMiB(t, pid); peak > 150 {
				t.Errorf("a child process used %d MiB", peak)
			}
		}
		server.Login(t)
	})
}
