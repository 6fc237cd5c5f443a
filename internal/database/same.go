package database

import (
	"context"
	"os"
)

// Same reports whether two DBs are the same database, under whatever path or host.
func (db *DB) Same(ctx context.Context, other *DB) (bool, error) {
	if db.Engine() != other.Engine() {
		return false, nil
	}
	if db.file != nil {
		return os.SameFile(db.file.opened, other.file.opened), nil
	}
	one, err := db.identity(ctx)
	if err != nil {
		return false, err
	}
	two, err := other.identity(ctx)
	return one == two, err
}

// identity is what distinguishes databases of PostgreSQL: no two servers start in the same
// microsecond.
type identity struct{ Started, Database, Schema string }

func (db *DB) identity(ctx context.Context) (id identity, err error) {
	err = plain(db.WithContext(ctx).Raw("SELECT EXTRACT(EPOCH FROM pg_postmaster_start_time())::TEXT AS started, " +
		"current_database() AS database, current_schema() AS schema").Scan(&id).Error)
	return id, err
}
