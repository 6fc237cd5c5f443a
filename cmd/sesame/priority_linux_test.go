package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// A running server hashes at the lowest priority, and does nothing else at it.
func TestLoginsHaveTheLowestPriority(t *testing.T) {
	p := newProcess(t, databasetest.SQLite)
	p.start(t)
	p.login(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				status, _, err := p.tryPost(t.Context(), "/auth/login", `{"email":"ada@example.com","password":"correct horse battery"}`)
				if status != http.StatusOK || err != nil {
					t.Errorf("a login answers %d, %v", status, err)
				}
			}
		}
	}()
	eventually(t, "a thread hashes at the lowest priority", func() bool { return p.threadsAtLowestPriority(t) > 0 })
	close(stop)
	<-stopped
	eventually(t, "no thread is left at the lowest priority", func() bool { return p.threadsAtLowestPriority(t) == 0 })
}

func (p *process) threadsAtLowestPriority(t *testing.T) (threads int) {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.command.Process.Pid))
	if err != nil || len(stats) == 0 {
		t.Fatal("the server has no threads", err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name) // of a thread that has ended, nothing
		if _, fields, _ := strings.Cut(string(stat), ") "); err == nil && strings.Fields(fields)[16] == "19" {
			threads++
		}
	}
	return threads
}

// While the server runs, hashing leaves Go as many processors as there are.
func TestServingRaisesTheProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	p := newProcess(t, databasetest.SQLite, "SESAME_DATA_DIR="+t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- realMain(ctx, []string{"serve"}, p.environment, t.Output(), t.Output()) }()
	p.untilReady(t)
	if during := runtime.GOMAXPROCS(0); during != 2*before {
		t.Errorf("%d processors while serving, %d before", during, before)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("the server ended with status %d", status)
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("%d processors afterwards, %d before", after, before)
	}
}
