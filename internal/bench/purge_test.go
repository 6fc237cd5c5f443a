package bench

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// The rows of a large database.
const (
	storedUsers    = 200_000
	storedSessions = 1_000_000
)

func BenchmarkPurge(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in, benchtime := install(b, engine), benchtimeOf(b)
			in.logDurability(b)
			var kept []*connection
			var callers []caller
			for _, one := range in.logIn(b) {
				kept = append(kept, dial(b, in.address))
				callers = append(callers, refreshing(kept[len(kept)-1], one.refreshToken, ""))
			}
			var quiet, idle, purging load
			var rate float64
			for b.Loop() { // once: it takes longer than -benchtime
				if err := quiet.pace(callers, pacedEvery, benchtime); err != nil {
					b.Fatal(err)
				}
				in.server.stop(b)
				in.store(b)
				in.restart(b, kept) // the server purges when it starts
				if err := idle.pace(callers, pacedEvery, benchtime); err != nil {
					b.Fatal(err)
				}
				in.server.stop(b)
				expired := in.expireHalf(b)
				in.restart(b, kept)
				started := time.Now()
				if err := purging.pace(callers, pacedEvery, benchtime); err != nil {
					b.Fatal(err)
				}
				took := time.Since(started)
				in.server.stop(b)
				rate = float64(expired-in.expired(b)) / took.Seconds()
			}
			b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
			b.ReportMetric(quiet.percentile(50), "quiet-p50-ms")
			b.ReportMetric(quiet.percentile(99), "quiet-p99-ms")
			b.ReportMetric(idle.percentile(50), "idle-p50-ms")
			b.ReportMetric(idle.percentile(99), "idle-p99-ms")
			b.ReportMetric(idle.percentile(99)/quiet.percentile(99), "idle-ratio")
			b.ReportMetric(purging.percentile(50), "p50-ms")
			b.ReportMetric(purging.percentile(99), "p99-ms")
			b.ReportMetric(purging.percentile(99)/quiet.percentile(99), "ratio")
			b.ReportMetric(rate, "deleted/s")
		})
	}
}

// restart starts the server again, and connects all connections to it.
func (in *installation) restart(b *testing.B, connections []*connection) {
	b.Helper()
	in.serve(b)
	for _, c := range connections {
		*c = *dial(b, in.address)
	}
}

// expireHalf expires every other session of store, and returns how many.
func (in *installation) expireHalf(b *testing.B) (expired int64) {
	b.Helper()
	in.change(b, func(db *gorm.DB) error {
		update := db.Exec("UPDATE sessions SET idle_expires_at = created_at WHERE counter = ?", unused)
		expired = update.RowsAffected
		return update.Error
	})
	return expired
}

// expired returns how many expired sessions there are.
func (in *installation) expired(b *testing.B) (expired int64) {
	b.Helper()
	in.change(b, func(db *gorm.DB) error {
		return db.Table("sessions").Where("idle_expires_at < ?", time.Now()).Count(&expired).Error
	})
	return expired
}

// unused is the counter of the sessions that expire: no refresh reaches it.
const unused = -1

// store adds users and sessions. Their ids are UUIDv7 in the order of creation, one for each
// second. Every other session has the counter unused.
func (in *installation) store(b *testing.B) {
	b.Helper()
	now := time.Now()
	created, ends := now.AddDate(0, 0, -20), now.AddDate(0, 0, 10)
	id := func(i string) string {
		ms := fmt.Sprintf("(%d + 1000 * %s)", created.UnixMilli(), i)
		if in.engine == databasetest.Postgres {
			return fmt.Sprintf(`CAST(lpad(to_hex(%[1]s), 12, '0') || '7000' || '8000' || lpad(to_hex(%[2]s), 12, '0') AS UUID)`,
				ms, i)
		}
		return fmt.Sprintf("printf('%%08x-%%04x-7000-8000-%%012x', %[1]s >> 16, %[1]s & 65535, %[2]s)", ms, i)
	}
	numbers := func(rows int) string {
		return fmt.Sprintf("WITH RECURSIVE numbers(i) AS ("+
			"SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < %d) ", rows)
	}
	in.change(b, func(db *gorm.DB) error {
		err := db.Exec(numbers(storedUsers)+"INSERT INTO users "+
			"(id, name, email, password_hash, generation, created_at, updated_at) "+
			"SELECT "+id("i")+", 'User', 'stored-' || i || '@example.com', ?, 1, ?, ? FROM numbers",
			strings.Repeat("x", 97), created, created).Error
		if err != nil {
			return err
		}
		return db.Exec(numbers(storedSessions)+"INSERT INTO sessions (id, user_id, generation, counter, created_at, "+
			"rotated_at, expires_at, idle_expires_at, ip, last_ip, user_agent) "+
			"SELECT "+id("i")+", "+id(fmt.Sprintf("(i * 7919 %% %d + 1)", storedUsers))+
			fmt.Sprintf(", 1, CASE i %% 2 WHEN 0 THEN 1 ELSE %d END, ", unused)+
			"?, ?, ?, ?, '203.0.113.7', '203.0.113.7', ? FROM numbers",
			created, created, ends, ends, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0").Error
	})
}

// change changes the database while the server is stopped.
func (in *installation) change(b *testing.B, change func(db *gorm.DB) error) {
	b.Helper()
	db, err := database.Open(b.Context(), in.databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	err = change(db.WithContext(b.Context()))
	if err == nil && in.engine == databasetest.Postgres {
		err = db.WithContext(b.Context()).Exec("VACUUM ANALYZE").Error
	}
	if err := errors.Join(err, db.Close()); err != nil {
		b.Fatal(err)
	}
}
