package bench

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// age is how old the oldest rows are.
const age = 30 * 24 * time.Hour

// rows makes rows by SQL: much faster than a server could. The rows are as large as real ones,
// their ids are UUIDv7, and their order in the tables is that of their creation.
type rows struct {
	engine databasetest.Engine
	db     *sql.DB
	conn   *sql.Conn
}

// openRows connects to a migrated database until the end of the benchmark or close.
func openRows(t testing.TB, engine databasetest.Engine, databaseURL string) *rows {
	t.Helper()
	driver, source := "pgx", databaseURL
	if engine == databasetest.SQLite {
		driver, source = "sqlite", "file:"+strings.TrimPrefix(databaseURL, "sqlite:")+"?_pragma=busy_timeout(30000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &rows{engine: engine, db: db, conn: conn}
}

func (r *rows) exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := r.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// query calls scan for each row of a result.
func (r *rows) query(ctx context.Context, query string, scan func(row *sql.Rows) error) error {
	result, err := r.conn.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer func() { _ = result.Close() }()
	for result.Next() {
		if err := scan(result); err != nil {
			return err
		}
	}
	return result.Err()
}

// close disconnects, so that a server can use a file that build has locked.
func (r *rows) close() {
	_ = r.conn.Close()
	_ = r.db.Close()
}

// build fills an empty database that no server uses yet: with users, who all have the same password
// hash and one session each, and for each user three audit events and one spent budget.
func (r *rows) build(ctx context.Context, users int, passwordHash string) error {
	settings := []string{
		"SET session_replication_role = replica", // checks no foreign keys
		"SET synchronous_commit = off", "SET maintenance_work_mem = '256MB'", "SET work_mem = '256MB'",
	}
	if r.engine == databasetest.SQLite {
		settings = []string{
			"PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF",
			"PRAGMA cache_size = -500000", "PRAGMA temp_store = MEMORY", "PRAGMA locking_mode = EXCLUSIVE",
		}
	}
	if err := r.exec(ctx, settings...); err != nil {
		return err
	}
	drop, restore, err := r.indexes(ctx)
	if err != nil {
		return err
	}
	statements := slices.Concat(drop, []string{r.usersOf(users, passwordHash)}, r.numberUsers(),
		[]string{r.sessionsOf(users), r.eventsOf(3 * users), r.budgetsOf(users)}, restore)
	if r.engine == databasetest.Postgres {
		statements = append(statements, "VACUUM ANALYZE")
	}
	return r.exec(ctx, statements...)
}

// syncNothing makes PostgreSQL faster, and not durable, until the returned function is called.
func (r *rows) syncNothing(ctx context.Context) (restore func() error, err error) {
	if r.engine != databasetest.Postgres {
		return func() error { return nil }, nil
	}
	var isOn bool
	row := r.conn.QueryRowContext(ctx, "SELECT current_setting('fsync') = 'on'")
	if err := row.Scan(&isOn); err != nil || !isOn {
		return func() error { return nil }, err
	}
	restore = func() error {
		return r.exec(ctx, "ALTER SYSTEM RESET fsync", "ALTER SYSTEM RESET full_page_writes",
			"SELECT pg_reload_conf()", "CHECKPOINT")
	}
	return restore, r.exec(ctx, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off",
		"SELECT pg_reload_conf()")
}

// indexes returns the statements that drop the indexes and create them again, which is faster than
// changing them with every row.
func (r *rows) indexes(ctx context.Context) (drop, restore []string, err error) {
	query := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
	if r.engine == databasetest.Postgres {
		query = `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
			AND indexname NOT IN (SELECT conname FROM pg_constraint)`
	}
	err = r.query(ctx, query, func(row *sql.Rows) error {
		var name, definition string
		err := row.Scan(&name, &definition)
		drop, restore = append(drop, "DROP INDEX "+name), append(restore, definition)
		return err
	})
	return drop, restore, err
}

// numberUsers returns the statements that make a table of the users with numbers from 1, which the
// other rows refer to.
func (r *rows) numberUsers() []string {
	idType := "TEXT"
	if r.engine == databasetest.Postgres {
		idType = "UUID"
	}
	return []string{
		"DROP TABLE IF EXISTS numbered",
		"CREATE TEMPORARY TABLE numbered (n INTEGER PRIMARY KEY, id " + idType + ", email TEXT, generation INTEGER)",
		"INSERT INTO numbered SELECT row_number() OVER (ORDER BY id), id, email, generation FROM users",
		"ANALYZE numbered",
	}
}

// series returns the start of a statement that can select k from 1 to count, with the time of the
// k-th row in microseconds, us.
func series(count int) string {
	from := time.Now().Add(-age).UnixMicro()
	return fmt.Sprintf(`WITH RECURSIVE counted(k) AS (
		SELECT CAST(1 AS BIGINT) UNION ALL SELECT k + 1 FROM counted WHERE k < %d
	), series AS (SELECT k, %d + k * %d AS us FROM counted) `, count, from, age.Microseconds()/int64(count+1))
}

// ofUser joins a user to each row of the series, in an order that is not that of the users.
const ofUser = "JOIN numbered ON numbered.n = 1 + (k * 7919) % (SELECT count(*) FROM numbered)"

// The client of all rows.
const (
	clientIP  = "'203.0.113.17'"
	userAgent = "'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'"
)

func (r *rows) usersOf(count int, passwordHash string) string {
	return series(count) + fmt.Sprintf(`
		INSERT INTO users (id, name, email, password_hash, generation, created_at, updated_at, email_verified_at)
		SELECT %s, 'User ' || k, %s || '@example.com', '%s', 1, %s, %[4]s, %[4]s FROM series`,
		r.id("us"), r.random(), passwordHash, r.time("us"))
}

func (r *rows) sessionsOf(count int) string {
	now := time.Now()
	at := func(t time.Time) string { return r.time(fmt.Sprint(t.UnixMicro())) }
	return series(count) + fmt.Sprintf(`
		INSERT INTO sessions (id, user_id, generation, counter, created_at, rotated_at, expires_at, idle_expires_at,
			ip, last_ip, user_agent, auth_time)
		SELECT %s, numbered.id, generation, 1, %s, %[2]s, %s, %s, %s, %[5]s, %s, %[2]s FROM series %[7]s`,
		r.id("us"), r.time("us"), at(now.Add(age)), at(now.Add(age/2)), clientIP, userAgent, ofUser)
}

func (r *rows) eventsOf(count int) string {
	return series(count) + fmt.Sprintf(`
		INSERT INTO audit_events (id, at, kind, outcome, user_id, session_id, email, request_id, ip, user_agent, detail)
		SELECT %s, %s, 'login', 'success', numbered.id, %[1]s, email, %[3]s, %[4]s, %[5]s, '' FROM series %[6]s`,
		r.id("us"), r.time("us"), r.random(), clientIP, userAgent, ofUser)
}

// budgetsOf makes budgets that will be full again tomorrow.
func (r *rows) budgetsOf(count int) string {
	key := "randomblob(32)"
	if r.engine == databasetest.Postgres {
		key = "sha256(CAST(k || random()::text AS bytea))"
	}
	return series(count) + fmt.Sprintf("INSERT INTO throttle (key, tat) SELECT %s, %d + k FROM series",
		key, time.Now().Add(24*time.Hour).UnixMicro())
}

// networksOf makes known networks, on PostgreSQL.
func (r *rows) networksOf(count int) string {
	return series(count) + fmt.Sprintf(`INSERT INTO known_networks (pseudonym, user_id, last_seen)
		SELECT sha256(CAST(k || random()::text AS bytea)), numbered.id, %s FROM series %s`, r.time("us"), ofUser)
}

// time returns the SQL for a time, given in microseconds.
func (r *rows) time(us string) string {
	if r.engine == databasetest.SQLite {
		return us
	}
	return "to_timestamp((" + us + ") / 1e6)"
}

// id returns the SQL for a random UUIDv7 with a time, given in microseconds.
func (r *rows) id(us string) string {
	if r.engine == databasetest.SQLite {
		return fmt.Sprintf("printf('%%08x-%%04x-7%%03x-%%04x-%%012x', %s / 1000 >> 16, %[1]s / 1000 & 65535, "+
			"random() & 4095, random() & 16383 | 32768, random() & 281474976710655)", us)
	}
	return fmt.Sprintf("CAST(lpad(to_hex(%s / 1000), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || "+
		"substr('89ab', 1 + (random() * 3)::int, 1) || substr(md5(random()::text), 1, 15) AS uuid)", us)
}

// random returns the SQL for a random text with 16 characters.
func (r *rows) random() string {
	if r.engine == databasetest.SQLite {
		return "lower(hex(randomblob(8)))"
	}
	return "substr(md5(random()::text), 1, 16)"
}

// owned is a session and its user.
type owned struct {
	session, user uuid.UUID
	email         string
}

// addSessions adds sessions to a database that a server may use already.
func (r *rows) addSessions(b *testing.B, count int) []owned {
	b.Helper()
	r.mustExec(b, r.numberUsers()...)
	added := r.owned(b, r.sessionsOf(count)+" RETURNING id, user_id, ''")
	if r.engine == databasetest.Postgres {
		r.mustExec(b, "CHECKPOINT") // not during the measurement
	} else {
		r.mustExec(b, "PRAGMA wal_checkpoint")
	}
	return added
}

func (r *rows) mustExec(b *testing.B, statements ...string) {
	b.Helper()
	if err := r.exec(b.Context(), statements...); err != nil {
		b.Fatal(err)
	}
}

// sample returns randomly chosen sessions: all of them if there are no more than count.
func (r *rows) sample(t testing.TB, count int) []owned {
	t.Helper()
	return r.owned(t, fmt.Sprintf(`SELECT sessions.id, users.id, email FROM sessions
		JOIN users ON users.id = sessions.user_id ORDER BY random() LIMIT %d`, count))
}

func (r *rows) owned(t testing.TB, query string) (all []owned) {
	t.Helper()
	err := r.query(t.Context(), query, func(row *sql.Rows) error {
		var one owned
		err := row.Scan(&one.session, &one.user, &one.email)
		all = append(all, one)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// bytes returns the size of the database.
func (r *rows) bytes(ctx context.Context) (bytes int64, err error) {
	query := "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	if r.engine == databasetest.Postgres {
		query = "SELECT pg_database_size(current_database())"
	}
	err = r.conn.QueryRowContext(ctx, query).Scan(&bytes)
	return bytes, err
}

// passwordHashOf returns the hash that a server has made of userPassword.
func passwordHashOf(b *testing.B) (hash string) {
	b.Helper()
	in := install(b, databasetest.SQLite)
	r := openRows(b, in.engine, in.databaseURL)
	defer r.close()
	row := r.conn.QueryRowContext(b.Context(), "SELECT password_hash FROM users LIMIT 1")
	if err := row.Scan(&hash); err != nil {
		b.Fatal(err)
	}
	return hash
}

func TestBuild(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const count = 50
		r := openRows(t, engine, databasetest.URL(t, engine))
		before, _, err := r.indexes(t.Context())
		if err != nil || len(before) == 0 {
			t.Fatalf("%d indexes, %v", len(before), err)
		}
		if err := r.build(t.Context(), count, "hash"); err != nil {
			t.Fatal(err)
		}
		after, _, err := r.indexes(t.Context())
		if slices.Sort(before); err != nil || !slices.Equal(before, slices.Sorted(slices.Values(after))) {
			t.Errorf("%v\nindexes before: %q\nafter:          %q", err, before, after)
		}
		for table, want := range map[string]int{
			"users": count, "sessions": count, "audit_events": 3 * count, "throttle": count,
		} {
			var got int
			if err := r.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&got); err != nil || got != want {
				t.Errorf("%s has %d rows, want %d: %v", table, got, want, err)
			}
		}
		users := make(map[uuid.UUID]bool)
		for _, of := range r.sample(t, count) {
			users[of.user] = true
			for _, id := range []uuid.UUID{of.user, of.session} {
				seconds, _ := id.Time().UnixTime()
				at := time.Unix(seconds, 0)
				isRecent := time.Since(at) < age+time.Hour && time.Until(at) < 0
				if id.Version() != 7 || id.Variant() != uuid.RFC4122 || !isRecent {
					t.Fatalf("%s is not a UUIDv7 of the last 30 days: %s", id, at)
				}
			}
		}
		if len(users) != count {
			t.Errorf("%d users have a session, want all %d", len(users), count)
		}
	})
}
