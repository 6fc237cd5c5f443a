package database_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// The URL of another machine must say whether the connection is encrypted.
func TestUnencryptedConnections(t *testing.T) {
	for url, accepted := range map[string]bool{
		"postgres://u:canary@db.example.com/x":                                      false,
		"postgres://u:canary@db.example.com/x?sslmode=prefer":                       false,
		"postgres://u:canary@db.example.com/x?sslmode=allow":                        false,
		"postgres://u:canary@192.0.2.1/x":                                           false,
		"postgres://u:canary@127.0.0.1,db.example.com:5433/x":                       false,
		"postgres://u:canary@/x?host=/var/run/postgresql,db.example.com":            false,
		"postgres://u:canary@can@127.0.0.1/x":                                       false,
		"postgres://u:canary@db.example.com/x?sslmode=disable":                      true,
		"postgres://u:canary@db.example.com/x?sslmode=require":                      true,
		"postgres://u:canary@one.example.com,two.example.com/x?sslmode=verify-full": true,
		"postgres://u:canary@127.0.0.1/x":                                           true,
		"postgres://u:canary@[::1]:5433/x":                                          true,
		"postgres://u:canary@localhost/x":                                           true,
		"postgres://u:canary@/x?host=/var/run/postgresql":                           true,
	} {
		err := database.CheckURL(url)
		if (err == nil) != accepted || err != nil && strings.Contains(err.Error(), "can") {
			t.Errorf("%s: %v", url, err)
		}
		if _, opened := database.Open(t.Context(), url); !accepted && (opened == nil || opened.Error() != err.Error()) {
			t.Errorf("%s: %v", url, opened)
		}
	}
}

// The parameters of the pool have the names of pgxpool.
func TestPoolParameters(t *testing.T) {
	for parameters, want := range map[string]string{
		"":                  "",
		"&pool_max_conns=2": "",
		"&pool_max_conns=7&pool_max_conn_lifetime=1h&pool_max_conn_idle_time=0": "",
		"&pool_max_conns=1":             "pool_max_conns of the database URL must be a number of at least 2",
		"&pool_max_conns=many":          "pool_max_conns of the database URL must be a number of at least 2",
		"&pool_max_conn_lifetime=60":    "pool_max_conn_lifetime of the database URL must be a duration",
		"&pool_max_conn_lifetime=-1s":   "pool_max_conn_lifetime of the database URL must be a duration",
		"&pool_max_conn_idle_time=long": "pool_max_conn_idle_time of the database URL must be a duration",
		"&pool_min_conns=1":             "pool_min_conns of the database URL is not supported",
		"&pool_max_conns=0&pool_size=5": "pool_max_conns of the database URL must be a number of at least 2; pool_size",
	} {
		err := database.CheckURL("postgres://u@127.0.0.1/x?sslmode=disable" + parameters)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", parameters, err)
		}
	}
	db := open(t, databasetest.URL(t, databasetest.Postgres)+"&pool_max_conns=3&pool_max_conn_lifetime=10ms")
	pools, err := db.Pools()
	if err != nil {
		t.Fatal(err)
	}
	pool := pools["postgres"]
	if got := pool.Stats().MaxOpenConnections; got != 3 {
		t.Errorf("at most %d connections", got)
	}
	for deadline := time.Now().Add(20 * time.Second); pool.Stats().MaxLifetimeClosed == 0; {
		if err := db.Ping(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("no connection was replaced after its lifetime, %v", err)
		}
	}
}
