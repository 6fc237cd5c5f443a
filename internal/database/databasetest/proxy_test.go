package databasetest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestProxyCountsRoundTrips(t *testing.T) {
	proxy := NewProxy(t, URL(t, Postgres))
	conn, err := pgx.Connect(t.Context(), proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	count := func(what string, want int64, do func() error) {
		t.Helper()
		before := proxy.RoundTrips()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if got := proxy.RoundTrips() - before; got != want {
			t.Errorf("%s: %d round trips, want %d", what, got, want)
		}
	}
	query := func(sql string) error {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	count("a statement", 1, func() error { return query("SELECT 1") })
	count("a large result", 1, func() error { return query("SELECT repeat('x', 1000000)") })
	count("a transaction", 3, func() error {
		for _, sql := range []string{"BEGIN", "SELECT 1", "COMMIT"} {
			if err := query(sql); err != nil {
				return err
			}
		}
		return nil
	})
	count("statements that are sent together", 1, func() error { return query("BEGIN; SELECT 1; COMMIT") })
}
