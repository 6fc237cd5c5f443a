package databasetest

import (
	"context"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
)

// Tables returns the names of the tables. It also works in cleanups of the test.
func Tables(t testing.TB, db *database.DB) []string {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if db.Engine() == string(Postgres) {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
	}
	var names []string
	if err := db.WithContext(context.Background()).Raw(query).Scan(&names).Error; err != nil {
		t.Fatal(err)
	}
	return names
}

// Column is a column of a table.
type Column struct {
	Name, Type string // the type as the engine names it
	Nullable   bool
}

// Columns returns the columns of a table.
func Columns(t testing.TB, db *database.DB, table string) []Column {
	t.Helper()
	query := `SELECT name, type, "notnull" = 0 AS nullable FROM pragma_table_info(?)`
	if db.Engine() == string(Postgres) {
		query = `SELECT column_name AS name, udt_name AS type, is_nullable = 'YES' AS nullable
			FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ?`
	}
	var columns []Column
	if err := db.WithContext(t.Context()).Raw(query, table).Scan(&columns).Error; err != nil || len(columns) == 0 {
		t.Fatalf("%s: %d columns, %v", table, len(columns), err)
	}
	return columns
}
