package doctor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/porttest"
)

// A healthy deployment has no warning, and every check that applies to it is made. The names are
// stable.
func TestHealthy(t *testing.T) {
	want := map[databasetest.Engine][]string{
		databasetest.SQLite: {
			"configuration", "data-folder", "disk", "database", "schema", "database-writes", "database-file", "secret", "clock",
			"signing-keys", "mail-queue", "mail-server", "server", "public-url", "client-ip", "passkeys", "open-files",
			"processors", "memory",
		},
		databasetest.Postgres: {
			"configuration", "database", "schema", "database-writes", "database-connections", "secret", "clock",
			"signing-keys", "mail-queue", "mail-server", "server", "public-url", "client-ip", "passkeys", "open-files",
			"processors", "memory",
		},
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := newDeployment(t, engine)
		serve(t, d)
		findings := examine(t, d)
		if got := names(findings, doctor.OK); !slices.Equal(got, want[engine]) {
			t.Errorf("%+v", findings)
		}
	})
}

// Without a running server, only the checks that need one find something.
func TestStopped(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		findings := require(t, d, "server", doctor.Warning, "connection refused", "sesame serve")
		if got := names(findings, doctor.Warning); !slices.Equal(got, []string{"server", "public-url"}) {
			t.Errorf("warnings: %q", got)
		}
		if got := names(findings, doctor.Skipped); !slices.Equal(got, []string{"client-ip"}) {
			t.Errorf("skipped: %q", got)
		}
		if got := names(findings, doctor.Error); got != nil {
			t.Errorf("errors: %q", got)
		}
	})
}

// Before the first start, there is no folder and no database. The other checks are made.
func TestNothingThere(t *testing.T) {
	d := newDeployment(t, databasetest.SQLite)
	findings := require(t, d, "data-folder", doctor.Error, "does not exist", "SESAME_DATA_DIR")
	require(t, d, "database", doctor.Error, "there is no database", "sesame migrate")
	skipped := []string{
		"disk", "schema", "database-writes", "database-file", "secret", "clock", "signing-keys", "mail-queue", "client-ip",
	}
	if got := names(findings, doctor.Skipped); !slices.Equal(got, skipped) {
		t.Errorf("skipped: %q", got)
	}
	require(t, d, "schema", doctor.Skipped, "needs the check database", "")
	require(t, d, "mail-server", doctor.OK, "accepts connections", "")
}

// PostgreSQL is down, or its machine is lost: the checks that need it are skipped, the others are
// made, and all of them end in time.
func TestPostgresDown(t *testing.T) {
	d := started(t, databasetest.Postgres)
	lost := databasetest.NewProxy(t, d.DatabaseURL)
	lost.Silence()
	for name, url := range map[string]string{
		"down": "postgres://sesame:canary@" + porttest.Address(t) + "/sesame?sslmode=disable", "lost": lost.URL,
	} {
		t.Run(name, func(t *testing.T) {
			d := *d
			d.DatabaseURL = url
			begin := time.Now()
			findings := require(t, &d, "database", doctor.Error, "", "SESAME_DATABASE_URL")
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if got := names(findings, doctor.Skipped); !slices.Equal(got, []string{
				"schema", "database-writes", "database-connections", "secret", "clock", "signing-keys", "mail-queue", "client-ip",
			}) {
				t.Errorf("skipped: %q", got)
			}
			require(t, &d, "mail-server", doctor.OK, "", "")
		})
	}
}

// A signal ends the examination.
func TestCanceled(t *testing.T) {
	d := started(t, databasetest.SQLite)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted")
	count := 0
	err := doctor.Run(ctx, *d, func(doctor.Finding) { count++; cancel(reason) })
	if !errors.Is(err, reason) || count != 1 {
		t.Errorf("%v after %d findings", err, count)
	}
}

// Settings that may not be intended are one finding.
func TestQuestionableSettings(t *testing.T) {
	d := started(t, databasetest.SQLite)
	d.Questionable = []doctor.Finding{
		{Status: doctor.Warning, Detail: "one is off", Remedy: "Set one."},
		{Status: doctor.Warning, Detail: "two is off", Remedy: "Set two."},
	}
	require(t, d, "configuration", doctor.Warning, "one is off; two is off", "Set one. Set two.")
}
