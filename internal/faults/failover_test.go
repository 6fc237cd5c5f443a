package faults

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
)

// What the measurements must not exceed on an idle machine is in docs/reliability.md. The tests
// allow more, because the machine may be busy.
const (
	longestAllowed  = 10 * time.Second // requests end after ten seconds
	recoveryAllowed = 15 * time.Second
)

// When the primary crashes and its synchronous standby is promoted, nothing is lost.
func TestPrimaryCrashes(t *testing.T) {
	begin(t)
	f := &figures{}
	for range rounds(1, 20) {
		failOver(t, f, func(primary *cluster.Cluster) error {
			return primary.Stop() // an immediate shutdown: connections are closed, and nothing is saved
		})
	}
	f.report(t, "failover, the primary crashes")
}

// When the primary is silent for three seconds, and then its synchronous standby is promoted,
// nothing is lost.
func TestPrimaryIsSilent(t *testing.T) {
	begin(t)
	f := &figures{}
	for range rounds(1, 5) {
		failOver(t, f, func(primary *cluster.Cluster) error {
			err := primary.Pause()
			time.Sleep(3 * time.Second) // until the failover is decided
			return err
		})
	}
	f.report(t, "failover, the primary is silent")
	if f.longest > longestAllowed {
		t.Errorf("a response took %s", f.longest)
	}
}

// failOver loses the primary of a pair under load and promotes the standby.
func failOver(t *testing.T, f *figures, lose func(primary *cluster.Cluster) error) {
	t.Helper()
	primary, standby, err := cluster.StartPair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(primary.Stop(), standby.Stop()); err != nil {
			t.Error(err)
		}
	}()
	hosts, err := cluster.HostsURL(primary, standby)
	if err == nil {
		err = primary.ReplicateSynchronously(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	box := newMailbox(t)
	server := newServer(t, databasetest.Postgres, box.URL(), "SESAME_DATABASE_URL="+hosts+"&synchronous_commit=on")
	server.Start(t)
	l := newLoad(t, databasetest.Postgres, server.API, box, f)
	await := l.watch()
	stop := l.start()
	await()
	time.Sleep(500 * time.Millisecond)
	if err := lose(primary); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := l.watch()()
	f.recovered(took)
	if took > recoveryAllowed {
		t.Errorf("the first write succeeded %s after the promotion", took)
	}
	stop()
	l.check()
	if output, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
