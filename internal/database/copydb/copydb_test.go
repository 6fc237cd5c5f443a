package copydb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// eachPair runs test for each pair of engines.
func eachPair(t *testing.T, test func(t *testing.T, from, to databasetest.Engine)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, from databasetest.Engine) {
		for _, to := range databasetest.Engines {
			t.Run("to "+string(to), func(t *testing.T) {
				t.Parallel()
				test(t, from, to)
			})
		}
	})
}

// eachDirection runs test for each direction between the engines.
func eachDirection(t *testing.T, test func(t *testing.T, from, to databasetest.Engine)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, from databasetest.Engine) { test(t, from, other(from)) })
}

func other(engine databasetest.Engine) databasetest.Engine {
	if engine == databasetest.SQLite {
		return databasetest.Postgres
	}
	return databasetest.SQLite
}

// pair returns two databases. The source has rows in every table.
func pair(t *testing.T, from, to databasetest.Engine) (source, destination *database.DB) {
	t.Helper()
	source, destination = databasetest.New(t, from), databasetest.New(t, to)
	fill(t, source, tables, 1, 12)
	return source, destination
}

// fill inserts rows from first to last into tables. All columns have values, or NULL in every other
// row if they may. A row refers to the user of the same number.
func fill(t *testing.T, db *database.DB, tables []table, first, last int) {
	t.Helper()
	for _, table := range tables {
		columns := typedColumns(t, table.name)
		var rows []map[string]any
		for i := first; i <= last; i++ {
			row := make(map[string]any)
			for _, column := range columns {
				if row[column.Name] = value(t, column, i); column.Nullable && i%2 == 1 {
					row[column.Name] = nil
				}
			}
			if table.name == "throttle_key" { // which has one row
				row["id"] = 1
			}
			if rows = append(rows, row); table.name == "throttle_key" {
				break
			}
		}
		err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
			return tx.Table(table.name).CreateInBatches(rows, 100).Error
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

var known = struct {
	sync.Mutex

	columns map[string][]databasetest.Column
}{columns: make(map[string][]databasetest.Column)}

// typedColumns returns the columns of a table with their types on PostgreSQL: SQLite has none for
// UUIDs.
func typedColumns(t *testing.T, name string) []databasetest.Column {
	t.Helper()
	known.Lock()
	defer known.Unlock()
	if len(known.columns) == 0 {
		db := databasetest.New(t, databasetest.Postgres)
		for _, table := range tables {
			known.columns[table.name] = databasetest.Columns(t, db, table.name)
		}
	}
	return known.columns[name]
}

// value returns a value for the column of a row. It is different for each row, if the type has enough.
func value(t *testing.T, column databasetest.Column, i int) any {
	t.Helper()
	digest := sha256.Sum256(fmt.Append(nil, i))
	switch column.Type {
	case "uuid":
		return uuid.UUID(digest[:16]).String()
	case "text":
		if strings.HasSuffix(column.Name, "id") { // outbox.id and request_id
			return uuid.UUID(digest[:16]).String()
		}
		// Locales of PostgreSQL order these differently from their bytes.
		return fmt.Sprintf("%c-é'\"?$1 %d", "aB_zA"[i%5], i)
	case "int8", "int4":
		return int64(i)
	case "bool":
		return i%2 == 0
	case "bytea":
		return digest[:]
	case "timestamptz":
		return time.UnixMicro(int64(i) * 1_234_567_890_123).UTC()
	}
	t.Fatalf("the column %s is of the type %s, which no test of this package knows", column.Name, column.Type)
	return nil
}

func exec(t *testing.T, db *database.DB, statement string, args ...any) {
	t.Helper()
	err := db.Transaction(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement, args...).Error })
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func count(t *testing.T, db *database.DB, table string) (rows int) {
	t.Helper()
	if err := db.WithContext(t.Context()).Raw("SELECT COUNT(*) FROM " + table).Scan(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

// copied copies, and requires that both databases are the same.
func copied(t *testing.T, from, to *database.DB) *Copier {
	t.Helper()
	c, err := New(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Copy(t.Context(), func(Progress) {}); err != nil {
		t.Fatal(err)
	}
	if different := different(t, c); len(different) > 0 {
		t.Fatalf("after the copy, these tables differ: %q", different)
	}
	return c
}

// different returns the names of the tables that differ.
func different(t *testing.T, c *Copier) (names []string) {
	t.Helper()
	results, err := c.Compare(t.Context(), func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		if !result.Same() {
			names = append(names, result.Table)
		}
	}
	return names
}

// Every table of the schema is copied or listed in notCopied. The keys in tables are the primary
// keys, and a table comes after those that it refers to.
func TestEveryTableIsCopied(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		known := slices.Clone(notCopied)
		for _, table := range tables {
			known = append(known, table.name)
		}
		for _, name := range databasetest.Tables(t, db) {
			if !slices.Contains(known, name) && !strings.HasPrefix(name, "sqlite_") {
				t.Errorf("the table %s is not copied: add it to tables", name)
			}
		}
		for i, table := range tables {
			if got := primaryKey(t, db, table.name); !slices.Equal(got, table.key) {
				t.Errorf("%s has the primary key %q, and tables has %q", table.name, got, table.key)
			}
			for _, other := range tables[i:] {
				if slices.Contains(references(t, db, table.name), other.name) {
					t.Errorf("%s refers to %s, which must come before it in tables", table.name, other.name)
				}
			}
		}
	})
}

// primaryKey returns the columns of a table's primary key, in order.
func primaryKey(t *testing.T, db *database.DB, table string) (columns []string) {
	t.Helper()
	query := "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
	if db.Engine() == "postgres" {
		query = `SELECT attname FROM pg_index CROSS JOIN unnest(indkey) WITH ORDINALITY AS k (attnum, position)
			JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = k.attnum
			WHERE indrelid = ?::regclass AND indisprimary ORDER BY position`
	}
	if err := db.WithContext(t.Context()).Raw(query, table).Scan(&columns).Error; err != nil {
		t.Fatal(err)
	}
	return columns
}

// references returns the tables that the foreign keys of a table refer to.
func references(t *testing.T, db *database.DB, table string) (names []string) {
	t.Helper()
	query := `SELECT "table" FROM pragma_foreign_key_list(?)`
	if db.Engine() == "postgres" {
		query = "SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = ?::regclass AND contype = 'f'"
	}
	if err := db.WithContext(t.Context()).Raw(query, table).Scan(&names).Error; err != nil {
		t.Fatal(err)
	}
	return names
}

// PostgreSQL orders text by its locale, and a copy needs the order of SQLite. It has no sequences
// that a copy would have to set.
func TestTextKeysAndSequences(t *testing.T) {
	db := databasetest.New(t, databasetest.Postgres)
	for _, table := range tables {
		for _, column := range databasetest.Columns(t, db, table.name) {
			isText := column.Type == "text" && slices.Contains(table.key, column.Name)
			// The order of UUIDs in lower case is the same in every locale that PostgreSQL has.
			if want := table.text == column.Name; isText != want {
				t.Errorf("%s.%s of the key: its type is %s, and tables has %q", table.name, column.Name, column.Type, table.text)
			}
		}
	}
	var sequences []string
	err := db.WithContext(t.Context()).Raw("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()").
		Scan(&sequences).Error
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"schema_migrations_id_seq"}; !slices.Equal(sequences, want) {
		t.Errorf("the database has the sequences %q, want %q", sequences, want)
	}
}

func TestCopyAllTables(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		c := copied(t, source, destination)
		rows, err := c.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(12*(len(tables)-1) + 1); rows != want {
			t.Errorf("the source has %d rows, want %d", rows, want)
		}
		for _, table := range tables {
			if got, want := count(t, destination, table.name), count(t, source, table.name); got != want {
				t.Errorf("%s has %d rows, want %d", table.name, got, want)
			}
		}
	})
}

// Through a pooler, statements are not prepared, and PostgreSQL gets all values as text.
func TestCopyWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	source := databasetest.New(t, databasetest.SQLite)
	fill(t, source, tables, 1, 12)
	through, err := database.Open(t.Context(),
		databasetest.URL(t, databasetest.Postgres)+"&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = through.Close() })
	copied(t, source, through)
	copied(t, through, databasetest.New(t, databasetest.SQLite))
	exec(t, source, "UPDATE users SET name = 'Grace'")
	copied(t, source, through)
}

// The digest of rows does not depend on the engine they came through, so a copy of a copy has the
// digests of the original.
func TestCopyThereAndBack(t *testing.T) {
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		source, middle := pair(t, from, to)
		copied(t, source, middle)
		back := databasetest.New(t, from)
		copied(t, middle, back)
		c := &Copier{from: source, to: back, tables: copied(t, source, middle).tables}
		if names := different(t, c); len(names) > 0 {
			t.Errorf("there and back, these tables changed: %q", names)
		}
	})
}

// Pages end within the rows of a user, and the last page is full or has one row.
func TestCopyManyRows(t *testing.T) {
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		some := slices.DeleteFunc(slices.Clone(tables), func(t table) bool {
			return !slices.Contains([]string{"users", "previous_emails", "throttle"}, t.name)
		})
		for _, rows := range []int{batchRows, 2*batchRows + 1} {
			source, destination := databasetest.New(t, from), databasetest.New(t, to)
			for _, db := range []*database.DB{source, destination} {
				if db.Engine() == string(databasetest.Postgres) { // like a database with this locale
					exec(t, db, `ALTER TABLE previous_emails ALTER COLUMN email TYPE TEXT COLLATE "en-x-icu"`)
				}
			}
			fill(t, source, some, 1, rows)
			// They have the same user, so that their order is that of the text.
			exec(t, source, "UPDATE previous_emails SET user_id = (SELECT MIN(CAST(id AS TEXT)) FROM users)"+
				map[bool]string{true: "::uuid", false: ""}[from == databasetest.Postgres])
			copied(t, source, destination)
			for _, table := range some {
				if got := count(t, destination, table.name); got != rows {
					t.Errorf("%s has %d rows, want %d", table.name, got, rows)
				}
			}
		}
	})
}

// A change of any value in the destination is noticed, and repaired.
func TestCompareNoticesEveryValue(t *testing.T) {
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		all := copied(t, source, destination)
		for i, table := range all.tables {
			c := &Copier{from: source, to: destination, tables: all.tables[i : i+1]}
			for _, column := range databasetest.Columns(t, destination, table.name) {
				if slices.Contains([]string{"id", "user_id"}, column.Name) {
					continue // another one would violate a constraint
				}
				damage(t, destination, table.name, column)
				if got := different(t, c); !slices.Equal(got, []string{table.name}) {
					t.Errorf("after a change of %s.%s, the tables %q differ", table.name, column.Name, got)
				}
				if err := c.Copy(t.Context(), func(Progress) {}); err != nil {
					t.Fatal(err)
				}
				if got := different(t, c); len(got) > 0 {
					t.Fatalf("%s.%s is not repaired", table.name, column.Name)
				}
			}
		}
		if got := different(t, all); len(got) > 0 {
			t.Errorf("after the repairs, the tables %q differ", got)
		}
	})
}

// damage changes one value of a column: NULL to a value, and others to the next one.
func damage(t *testing.T, db *database.DB, table string, column databasetest.Column) {
	t.Helper()
	change := map[string]string{
		"INTEGER": "%s + 1000", "int8": "%s + 1000", "int4": "%s + 1000",
		"DATETIME": "%s + 1", "timestamptz": "%s + INTERVAL '1 microsecond'",
		"BOOLEAN": "NOT %s", "bool": "NOT %s",
		"BLOB": "x'00'", "bytea": `'\x00'`,
		"TEXT": "%s || ' '", "text": "%s || ' '", "uuid": "gen_random_uuid()",
	}[column.Type]
	if change == "" {
		t.Fatalf("no change for the type %s", column.Type)
	}
	quoted := `"` + column.Name + `"`
	change = strings.ReplaceAll(change, "%s", quoted)
	// Of all rows, so that one is enough for a column that is the same in many; of one row otherwise.
	exec(t, db, fmt.Sprintf(`UPDATE %s SET %s = %s WHERE %s = (SELECT %s FROM %s WHERE %s IS NOT NULL LIMIT 1)`,
		table, quoted, change, quoted, quoted, table, quoted))
}

// NULL, an empty text, zero and false are different values.
func TestEncodingIsUnambiguous(t *testing.T) {
	rows := [][]any{
		{nil, nil}, {"", nil}, {nil, ""}, {"", ""}, {[]byte{}, ""}, {int64(0), ""}, {false, ""}, {true, ""},
		{time.Unix(0, 0), ""}, {time.Time{}, ""}, {"s", ""}, {"", "s"}, {"s\x00", ""}, {"\x00", "s"}, {"ss", ""},
		{int64(-1), ""}, {int64(1), ""}, {time.UnixMicro(1), ""}, {time.UnixMicro(-1), ""},
	}
	seen := make(map[string]int)
	for i, values := range rows {
		r := row{values: values}
		if err := r.encode(); err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[string(r.encoded)]; twice {
			t.Errorf("%v and %v have the same encoding", values, rows[other])
		}
		seen[string(r.encoded)] = i
	}
	if err := (&row{values: []any{1.5}}).encode(); err == nil {
		t.Error("a value of an unknown type was encoded")
	}
}

// The changes of a source between two copies.
func TestCopyRepairs(t *testing.T) {
	changes := map[string]func(t *testing.T, source *database.DB){
		"a new row": func(t *testing.T, source *database.DB) {
			fill(t, source, tables[2:4], 100, 103) // users and sessions
		},
		"a changed row": func(t *testing.T, source *database.DB) {
			exec(t, source, "UPDATE users SET name = 'Grace' WHERE generation = 3")
			exec(t, source, "UPDATE sessions SET counter = counter + 1 WHERE counter > 5")
		},
		"a value becomes NULL": func(t *testing.T, source *database.DB) {
			exec(t, source, "UPDATE users SET bio = NULL")
		},
		"a deleted row": func(t *testing.T, source *database.DB) {
			exec(t, source, "DELETE FROM users WHERE generation IN (1, 5, 12)") // and all that refers to them
			exec(t, source, "DELETE FROM audit_events WHERE user_id = (SELECT user_id FROM audit_events LIMIT 1)")
		},
		"all rows deleted": func(t *testing.T, source *database.DB) {
			for _, table := range slices.Backward(tables[1:]) {
				exec(t, source, "DELETE FROM "+table.name)
			}
		},
		"exchanged emails": func(t *testing.T, source *database.DB) {
			swap := func(a, b any) { exec(t, source, "UPDATE users SET email = ? WHERE email = ?", b, a) }
			one, two := value(t, databasetest.Column{Type: "text"}, 4), value(t, databasetest.Column{Type: "text"}, 9)
			swap(one, "other")
			swap(two, one)
			swap("other", two)
		},
		"an email of another user": func(t *testing.T, source *database.DB) {
			taken := value(t, databasetest.Column{Type: "text"}, 7)
			exec(t, source, "DELETE FROM users WHERE email = ?", taken)
			exec(t, source, "UPDATE users SET email = ? WHERE generation = 2", taken)
		},
		"a new signing key": func(t *testing.T, source *database.DB) {
			fill(t, source, tables[:1], 13, 13)
			exec(t, source, "DELETE FROM signing_keys WHERE generation < 12")
		},
	}
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			t.Run(name, func(t *testing.T) {
				source, destination := pair(t, from, to)
				c := copied(t, source, destination)
				changes[name](t, source)
				if len(different(t, c)) == 0 {
					t.Fatal("the change of the source was not noticed")
				}
				copied(t, source, destination)
			})
		}
	})
}

// A copy that changes a user does not lose rows that refer to the user, although deleting the user
// deletes them.
func TestChangedUserKeepsSessions(t *testing.T) {
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		copied(t, source, destination)
		exec(t, source, "UPDATE users SET name = 'Grace'")
		copied(t, source, destination)
		for _, name := range []string{"sessions", "totp_factors", "passkeys", "known_networks"} {
			if got := count(t, destination, name); got != 12 {
				t.Errorf("%s has %d rows, want 12", name, got)
			}
		}
	})
}

// A copy that is interrupted within any table is completed by the next one.
func TestInterruptedCopyContinues(t *testing.T) {
	eachDirection(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		for _, table := range tables {
			c, err := New(t.Context(), source, destination)
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			err = c.Copy(ctx, func(p Progress) {
				if p.Table == table.name {
					interrupt()
				}
			})
			interrupt()
			if table.name != tables[len(tables)-1].name && !errors.Is(err, context.Canceled) {
				t.Errorf("a copy that was interrupted in %s: %v", table.name, err)
			}
			if count(t, destination, table.name) == 0 {
				t.Errorf("the copy stopped before the rows of %s", table.name)
			}
		}
		copied(t, source, destination)
	})
}
