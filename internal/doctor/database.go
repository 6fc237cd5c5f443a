package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/server"
)

const (
	// The major versions of PostgreSQL that the tests run with.
	oldestPostgres, newestPostgres = 14, 18
	// slowRoundTrip is how long a statement may take that reads nothing. An operation needs several.
	slowRoundTrip = 25 * time.Millisecond
	// largeLog is the size of the write-ahead log from which something keeps it from being copied. It
	// usually has 4 MiB.
	largeLog = 64 << 20
)

// checkDatabase opens the database.
func checkDatabase(ctx context.Context, e *examination) Finding {
	db, err := server.OpenUnchanged(ctx, e.Config)
	if err == nil {
		if e.facts, err = db.Facts(ctx, e.Now); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	switch {
	case err != nil && e.usesSQLite() && errors.Is(err, database.ErrUnavailable):
		return fail("Make the data folder and its files readable and writable for the user of the server, and run "+
			"sesame doctor as this user.", "%s", err)
	case err != nil && e.usesSQLite():
		return fail("If this deployment is new, start the server or run sesame migrate. Otherwise restore a backup.",
			"%s", err)
	case err != nil:
		return fail("Check that PostgreSQL runs and accepts connections from here, and SESAME_DATABASE_URL.", "%s", err)
	}
	e.db = db
	if e.usesSQLite() {
		return ok("SQLite %s", e.facts.Version)
	}
	return judgePostgres(e.facts)
}

// judgePostgres judges the version of PostgreSQL and the connection to it.
func judgePostgres(facts database.Facts) Finding {
	var problems []Finding
	switch {
	case facts.Major < oldestPostgres:
		problems = append(problems, fail("Upgrade PostgreSQL.",
			"PostgreSQL %s is not supported: versions %d to %d are", facts.Version, oldestPostgres, newestPostgres))
	case facts.Major > newestPostgres:
		problems = append(problems, warn("Upgrade Sesame when there is a version that is tested with it.",
			"Sesame is not tested with PostgreSQL %s, but with %d to %d", facts.Version, oldestPostgres, newestPostgres))
	}
	encryption := facts.TLS
	switch {
	case facts.TLS == "" && !facts.Local:
		problems = append(problems, warn("Add sslmode=verify-full to SESAME_DATABASE_URL, unless nobody else can read "+
			"the network.", "the connection to PostgreSQL is not encrypted"))
	case facts.TLS == "":
		encryption = "on this machine"
	}
	if facts.RoundTrip > slowRoundTrip {
		problems = append(problems, warn("Run the server near its database: each operation needs several round trips.",
			"a round trip to PostgreSQL takes %s", facts.RoundTrip.Round(time.Millisecond)))
	}
	return orOK(problems, ok("PostgreSQL %s, %s, a round trip takes %s",
		facts.Version, encryption, facts.RoundTrip.Round(10*time.Microsecond)))
}

// checkSchema checks that this program can use the schema.
func checkSchema(ctx context.Context, e *examination) Finding {
	schema, err := e.db.Schema(ctx)
	if err != nil {
		return fail("Repair the database, or restore a backup.", "%s", err)
	}
	if reason, ok := errors.AsType[*database.SchemaError](schema.Check()); ok {
		return fail("To do: "+reason.Remedy+".", "%s", reason.Reason)
	}
	return ok("at version %d, which this program can use", schema.Version())
}

// checkDatabaseWrites checks that the database accepts a change, without storing one.
func checkDatabaseWrites(ctx context.Context, e *examination) Finding {
	if err := e.db.CanWrite(ctx); err != nil {
		return fail("Make room on the disk of the database, make it writable, or name the primary instead of a standby in "+
			"SESAME_DATABASE_URL: without that, the server is not ready.", "%s", err)
	}
	return ok("the database accepts changes")
}

// checkDatabaseFile checks the size of SQLite's files, and looks for damage.
func checkDatabaseFile(ctx context.Context, e *examination) Finding {
	detail := fmt.Sprintf("%s, write-ahead log %s", size(e.facts.Bytes), size(e.db.WALBytes()))
	damage, err := e.db.QuickCheck(ctx)
	switch {
	case ctx.Err() != nil:
		return skip("%s; too large to look for damage within %s: run PRAGMA quick_check with sqlite3", detail, long)
	case err != nil:
		damage = err.Error()
	}
	if damage != "" {
		return fail("Stop all servers, keep a copy of the data folder, and restore a backup.",
			"the database is damaged: %s", damage)
	}
	if e.db.WALBytes() > largeLog {
		return warn("End the backup, or the other program, that has been reading the database for a long time.",
			"%s: it is not copied into the file", detail)
	}
	return ok("%s, not damaged", detail)
}

// databaseBytes returns the size of SQLite's files, or 0 if there are none.
func databaseBytes(e *examination) (total int64) {
	for _, path := range server.DataFiles(e.DataDir) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}

// checkDatabaseConnections compares the pool of a server with what PostgreSQL allows.
func checkDatabaseConnections(_ context.Context, e *examination) Finding {
	facts := e.facts
	if facts.Pooler {
		return ok("a pooler such as PgBouncer is in front of PostgreSQL: statements are not prepared")
	}
	detail := fmt.Sprintf("a server opens up to %d connections (pool_max_conns), PostgreSQL allows %d, and %d are open",
		facts.PoolSize, facts.Connections, facts.OpenConnections)
	if facts.PoolSize > facts.Connections {
		return warn("Raise max_connections of PostgreSQL, or the limit of the role or the database, or lower "+
			"pool_max_conns in SESAME_DATABASE_URL.", "%s", detail)
	}
	return ok("%s: enough for %d servers", detail, facts.Connections/facts.PoolSize)
}
