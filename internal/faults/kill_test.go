package faults

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// titles are the names of the engines on the page.
var titles = map[databasetest.Engine]string{databasetest.SQLite: "SQLite", databasetest.Postgres: "PostgreSQL"}

// A server that is killed at any moment under load loses nothing that it acknowledged, and revives
// nothing that had ended.
func TestKill(t *testing.T) {
	begin(t)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		box, f := newMailbox(t), &figures{}
		server := newServer(t, engine, box.URL())
		server.Start(t)
		l := newLoad(t, engine, server.API, box, f)
		extended := map[databasetest.Engine]int{databasetest.SQLite: 300, databasetest.Postgres: 100}
		for range rounds(3, extended[engine]) {
			stop := l.start()
			time.Sleep(50*time.Millisecond + time.Duration(rand.Int64N(int64(400*time.Millisecond)))) // a random moment
			if _, err := server.Stop(t, syscall.SIGKILL); err == nil {
				t.Fatal("the server reports success after kill -9")
			}
			stop()
			started := time.Now()
			server.Start(t)
			f.recovered(time.Since(started))
			l.check()
		}
		l.checkSessions()
		t.Logf("%d emails arrived twice", l.checkEmails())
		f.report(t, "kill -9, "+titles[engine])
	})
}
