package faults

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// While the disk of SQLite is full, or PostgreSQL is read-only, nothing is acknowledged that is not
// stored, and the server works again soon after there is room.
func TestNoRoom(t *testing.T) {
	begin(t)
	titles := map[databasetest.Engine]string{
		databasetest.SQLite: "full disk, SQLite", databasetest.Postgres: "read-only database, PostgreSQL",
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		box, f := newMailbox(t), &figures{}
		server := newServer(t, engine, box.URL())
		fill, free := func() { server.RefuseWrites(t) }, func() { server.AcceptWrites(t) }
		if data := filepath.Join(server.Folder, "sesame-data"); engine == databasetest.SQLite && mountDisk(t, data) {
			filler := filepath.Join(data, "filler")
			fill = func() { fillDisk(t, filler) }
			free = func() { _ = os.Remove(filler) } // the test fails if this does
		}
		server.Start(t)
		l := newLoad(t, engine, server.API, box, f)
		unready := 0
		// SQLite may go on although the disk is full. Then the test tries again.
		for round := 0; round < rounds(1, 10) || unready == 0 && round < 10; round++ {
			await := l.watch()
			stop := l.start()
			await()
			fill()
			if becomesUnready(t, server) {
				unready++
			}
			free()
			f.recovered(l.watch()())
			time.Sleep(200 * time.Millisecond) // so that some operations happen without a failure
			stop()
			l.check()
		}
		l.checkSessions()
		if unready == 0 {
			t.Error("the server was always ready")
		}
		f.report(t, titles[engine])
	})
}

// becomesUnready waits until the server is not ready, at most five seconds: SQLite can reuse room
// in its write-ahead log, and then goes on although the disk is full.
func becomesUnready(t *testing.T, server *processtest.Server) bool {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !server.IsReady(t.Context()) {
			return true
		}
	}
	return false
}

// mountDisk mounts a small disk in memory until the test ends. It returns false if the user of the
// test may not do that.
func mountDisk(t *testing.T, folder string) bool {
	t.Helper()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", folder).Run() != nil {
		return false
	}
	t.Cleanup(func() {
		if output, err := exec.Command("umount", "--lazy", folder).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, output)
		}
	})
	return true
}

// fillDisk writes a file until the disk is full. The server may free some of it meanwhile, so it
// continues until nothing more fits.
func fillDisk(t *testing.T, filler string) {
	t.Helper()
	file, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
