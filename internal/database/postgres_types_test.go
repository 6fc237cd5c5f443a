package database_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// Without prepared statements, as behind a pooler, parameters have the same types. (`make` builds
// without the list of types in pgx, so that this test needs the one in this package.)
func TestParametersOfUnpreparedStatements(t *testing.T) {
	url := databasetest.URL(t, databasetest.Postgres)
	separator := "?"
	if strings.Contains(url, separator) {
		separator = "&"
	}
	db, err := database.Open(t.Context(), url+separator+"default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	pools, err := db.Pools()
	if err != nil {
		t.Fatal(err)
	}
	type name string
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, parameter := range []struct {
		value      any
		kind, want string
	}{
		{int(-1), "bigint", "-1"}, {int8(-1), "bigint", "-1"}, {int16(-1), "bigint", "-1"},
		{int32(-1), "bigint", "-1"}, {int64(-1), "bigint", "-1"},
		{uint(1), "bigint", "1"}, {uint8(1), "bigint", "1"}, {uint16(1), "bigint", "1"},
		{uint32(1), "bigint", "1"}, {uint64(1), "bigint", "1"},
		{1.5, "double precision", "1.5"}, {true, "boolean", "true"}, {"text", "text", "text"}, {name("a"), "text", "a"},
		{[]byte("\x00\xff"), "bytea", `\x00ff`}, {at, "timestamptz) AT TIME ZONE ('UTC'", "2020-01-02 03:04:05.000006"},
		{&at, "timestamptz) AT TIME ZONE ('UTC'", "2020-01-02 03:04:05.000006"},
	} {
		t.Run(fmt.Sprintf("%T", parameter.value), func(t *testing.T) {
			var got string
			query := "SELECT CAST(CAST($1 AS " + parameter.kind + ") AS text)"
			err := pools["postgres"].QueryRowContext(t.Context(), query, parameter.value).Scan(&got)
			if err != nil || got != parameter.want {
				t.Errorf("%q, %v, want %q", got, err, parameter.want)
			}
		})
	}
}
