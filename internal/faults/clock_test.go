package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A server is stopped, the clock is set, and the server starts again: back or forward by an hour,
// so that sessions go on, or by 100 days, which they do not survive while the clock is wrong. Once
// it is right, nothing is lost and nothing is revived, and the server works all the time. It runs
// in the process of the test, where it can have a clock of its own.
func TestClock(t *testing.T) {
	begin(t)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		f := &figures{}
		const day = 24 * time.Hour
		for round := range rounds(1, 5) {
			databaseURL, l := databasetest.URL(t, engine), newLoad(t, engine, "", nil, f)
			for _, ahead := range []time.Duration{0, -time.Hour, 0, time.Hour, 0, -100 * day, 0, 100 * day, 0} {
				stopped := time.Now()
				t.Run(fmt.Sprintf("%d, %s ahead", round, ahead), func(t *testing.T) {
					s := servertest.StartOn(t, engine, databaseURL, servertest.Options{Ahead: ahead, RefreshGrace: 10 * time.Minute})
					l.api = s.URL
					before := len(l.accounts)
					await := l.watch()
					stop := l.start()
					await()
					f.recovered(time.Since(stopped))
					time.Sleep(200 * time.Millisecond) // the duration of the load
					stop()
					l.check()
					switch {
					case ahead.Abs() <= time.Hour:
						l.checkSessions()
					case ahead < 0:
						l.forgetSessions(before) // they will have expired once the clock is right
					}
				})
			}
		}
		f.report(t, "clock set around a restart, "+titles[engine])
	})
}

// forgetSessions makes the clients forget the sessions of all accounts but the first.
func (l *load) forgetSessions(first int) {
	for _, a := range l.accounts[first:] {
		a.sessions = nil
	}
}
