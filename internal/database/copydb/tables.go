package copydb

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sesame-auth/sesame/internal/database"
)

// table is a table of the schema.
type table struct {
	name string
	key  []string // the columns of the primary key
	text string   // the one of them whose type on PostgreSQL is text; empty: none

	columns   []string // all columns, sorted
	positions []int    // of the key's columns in columns
	booleans  []int    // positions of the boolean columns, which are integers in SQLite
}

// tables lists the tables that are copied. The signing keys come first: they show which
// installation a database is a copy of. A table comes after those that it refers to.
var tables = []table{
	{name: "signing_keys", key: []string{"generation"}},
	{name: "throttle_key", key: []string{"id"}},
	{name: "users", key: []string{"id"}},
	{name: "sessions", key: []string{"id"}},
	{name: "one_time_tokens", key: []string{"user_id", "purpose"}, text: "purpose"},
	{name: "previous_emails", key: []string{"user_id", "email"}, text: "email"},
	{name: "totp_factors", key: []string{"user_id"}},
	{name: "recovery_codes", key: []string{"user_id", "digest"}},
	{name: "passkeys", key: []string{"id"}},
	{name: "used_challenges", key: []string{"digest"}},
	{name: "known_networks", key: []string{"pseudonym"}},
	{name: "throttle", key: []string{"key"}},
	{name: "outbox", key: []string{"id"}},
	{name: "audit_events", key: []string{"id"}},
}

// notCopied lists the tables whose rows are about the database itself.
var notCopied = []string{"schema_migrations", "additive_migrations", "health"}

// withColumns returns the table with the columns that it has in a database.
func (t table) withColumns(ctx context.Context, db *database.DB) (table, error) {
	rows, err := query(ctx, db, "SELECT * FROM "+t.name+" WHERE 1 = 0")
	if err != nil {
		return table{}, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	columns, err := rows.ColumnTypes()
	if err != nil {
		return table{}, err
	}
	slices.SortFunc(columns, func(a, b *sql.ColumnType) int { return cmp.Compare(a.Name(), b.Name()) })
	for i, column := range columns {
		t.columns = append(t.columns, column.Name())
		if strings.HasPrefix(column.DatabaseTypeName(), "BOOL") {
			t.booleans = append(t.booleans, i)
		}
	}
	for _, column := range t.key {
		t.positions = append(t.positions, slices.Index(t.columns, column))
	}
	return t, rows.Err()
}

// keyOf returns the values of a row's primary key.
func (t table) keyOf(r *row) []any {
	key := make([]any, len(t.positions))
	for i, position := range t.positions {
		key[i] = r.values[position]
	}
	return key
}

// compareKeys compares the primary keys of two rows, in the order of selection.
func (t table) compareKeys(a, b *row) int {
	for _, position := range t.positions {
		if order := compareValues(a.values[position], b.values[position]); order != 0 {
			return order
		}
	}
	return 0
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case string: // also a UUID, which both engines order like its text
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	}
	return cmp.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)) // the schema has no such keys
}

// selection returns the query of a page. Its arguments are the key of the row before it, if any.
func (t table) selection(db *database.DB, after bool) string {
	key := quoted(t.key)
	for i, column := range t.key {
		if column == t.text && db.Engine() == "postgres" {
			key[i] += ` COLLATE "C"` // the order of bytes, as in SQLite; that of the database depends on its locale
		}
	}
	columns, where := strings.Join(key, ", "), ""
	if after {
		where = fmt.Sprintf("WHERE (%s) > (%s)", columns, placeholders(len(key)))
	}
	return fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d",
		strings.Join(quoted(t.columns), ", "), t.name, where, columns, batchRows)
}

// insertion returns the statement that inserts rows. Its arguments are their values.
func (t table) insertion(rows int) string {
	row := "(" + placeholders(len(t.columns)) + ")"
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES %s",
		t.name, strings.Join(quoted(t.columns), ", "), repeated(row, ", ", rows))
}

// deletion returns the statement that deletes rows. Its arguments are their keys.
func (t table) deletion(rows int) string {
	row := "(" + strings.Join(quoted(t.key), " = ? AND ") + " = ?)"
	return fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, repeated(row, " OR ", rows))
}

func quoted(columns []string) []string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = `"` + column + `"`
	}
	return names
}

func placeholders(n int) string { return repeated("?", ", ", n) }

func repeated(text, separator string, n int) string {
	return text + strings.Repeat(separator+text, n-1)
}

// numbered returns a statement with the placeholders of the engine: PostgreSQL numbers them.
func numbered(db *database.DB, statement string) string {
	if db.Engine() != "postgres" {
		return statement
	}
	var text strings.Builder
	for i, part := range strings.Split(statement, "?") {
		if i > 0 {
			text.WriteString("$" + strconv.Itoa(i))
		}
		text.WriteString(part)
	}
	return text.String()
}
