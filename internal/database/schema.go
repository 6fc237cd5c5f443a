package database

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
)

// Schema is the state of a database's schema.
type Schema struct {
	Migrations []Migration // those that this program or the database knows, the oldest first
}

// Migration is one step of the schema.
type Migration struct {
	Version  int64
	Name     string // the name of the file; empty if this program does not know the migration
	Applied  bool
	Additive bool // programs from before the migration work with it; known once it is applied
}

// Schema returns the state of the schema. It changes nothing, also in an empty database.
func (db *DB) Schema(ctx context.Context) (Schema, error) {
	known, err := db.knownMigrations()
	if err != nil {
		return Schema{}, err
	}
	applied, err := db.versions(ctx, versions, "WHERE version_id > 0") // 0 is a row of goose
	if err != nil {
		return Schema{}, err
	}
	additive, err := db.versions(ctx, "additive_migrations", "")
	if err != nil {
		return Schema{}, err
	}
	schema := Schema{known}
	for _, version := range applied {
		i := slices.IndexFunc(schema.Migrations, func(m Migration) bool { return m.Version == version })
		if i < 0 {
			i = len(schema.Migrations)
			schema.Migrations = append(schema.Migrations, Migration{Version: version})
		}
		schema.Migrations[i].Applied = true
		schema.Migrations[i].Additive = slices.Contains(additive, version)
	}
	slices.SortFunc(schema.Migrations, func(a, b Migration) int { return int(a.Version - b.Version) })
	return schema, nil
}

// Pending returns the migrations that this program knows and the database does not have.
func (s Schema) Pending() []Migration {
	return slices.DeleteFunc(slices.Clone(s.Migrations), func(m Migration) bool { return m.Applied })
}

// Check returns ErrSchema if this program cannot use the schema: migrations are missing, or there
// are newer ones that are not all additive.
func (s Schema) Check() error {
	switch {
	case s.newer():
		return s.errNewer()
	case s.Version() == 0:
		return &SchemaError{"the database is empty", "start the server, or run sesame migrate"}
	case len(s.Pending()) > 0:
		return &SchemaError{
			fmt.Sprintf("it is at version %d, and this program needs version %d", s.Version(), s.needed()),
			"start a server of this version, or run sesame migrate",
		}
	}
	return nil
}

// SchemaError says why this program cannot use a schema, and what to do. It is an ErrSchema.
type SchemaError struct{ Reason, Remedy string }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("%s: %s: %s", ErrSchema, e.Reason, e.Remedy)
}

// Unwrap returns ErrSchema.
func (e *SchemaError) Unwrap() error { return ErrSchema }

// newer reports whether the database has an unknown migration that is not additive.
func (s Schema) newer() bool {
	return slices.ContainsFunc(s.Migrations, func(m Migration) bool { return m.Name == "" && !m.Additive })
}

func (s Schema) errNewer() error {
	return &SchemaError{
		fmt.Sprintf("it is at version %d and this program knows versions up to %d; "+
			"it was migrated by a newer version of Sesame, or by one from before the first release", s.Version(), s.needed()),
		"upgrade sesame, restore a backup from before the migration, or use another database",
	}
}

// Version returns the newest version that was applied, or 0.
func (s Schema) Version() (newest int64) {
	for _, m := range s.Migrations {
		if m.Applied {
			newest = m.Version
		}
	}
	return newest
}

// needed returns the newest version that this program knows.
func (s Schema) needed() (newest int64) {
	for _, m := range s.Migrations {
		if m.Name != "" {
			newest = m.Version
		}
	}
	return newest
}

// versions returns the column version_id of a table, or nothing if the table does not exist.
func (db *DB) versions(ctx context.Context, table, where string) ([]int64, error) {
	exists := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	if db.Engine() == "postgres" {
		exists = "SELECT COUNT(*) WHERE to_regclass(?) IS NOT NULL"
	}
	var tables int
	if err := db.WithContext(ctx).Raw(exists, table).Scan(&tables).Error; err != nil || tables == 0 {
		return nil, db.explain(plain(err))
	}
	var found []int64
	err := db.WithContext(ctx).Raw("SELECT version_id FROM " + table + " " + where + " ORDER BY version_id").
		Scan(&found).Error
	return found, db.explain(plain(err))
}

// knownMigrations returns the migrations of this program, the oldest first.
func (db *DB) knownMigrations() ([]Migration, error) {
	files, err := fs.ReadDir(Migrations, "migrations/"+db.Engine())
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	known := make([]Migration, 0, len(files))
	for _, file := range files {
		version, err := goose.NumericComponent(file.Name())
		if err != nil {
			return nil, fmt.Errorf("list migrations: %w", err)
		}
		known = append(known, Migration{Version: version, Name: file.Name()})
	}
	return known, nil
}
