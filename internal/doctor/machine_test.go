package doctor_test

import (
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/doctor"
)

func TestMachines(t *testing.T) {
	d := started(t, databasetest.SQLite)
	d.Hashers, d.Processors = 8, 2
	require(t, d, "processors", doctor.Warning, "GOMAXPROCS is 8, and there are 2 processors", "GOMAXPROCS")
	d.Memory = 256 << 20
	require(t, d, "memory", doctor.Warning,
		"there are 256.0 MiB, and a server under load takes up to 361.0 MiB", "361.0 MiB")
	d.Hashers = 2
	require(t, d, "processors", doctor.OK, "2 processes, on 2 processors", "")
	require(t, d, "memory", doctor.OK, "up to 169.0 MiB", "")
	d.Memory = 0
	require(t, d, "memory", doctor.Skipped, "not known", "")
}

func TestPasskeys(t *testing.T) {
	d := started(t, databasetest.SQLite)
	set := func(id string, origins ...string) {
		t.Helper()
		d.Passkeys.ID, d.Passkeys.Origins = id, origins
	}
	d.PublicURL = "https://192.0.2.1"
	set("localhost", "https://localhost")
	require(t, d, "passkeys", doctor.Warning, "browsers do not accept on https://192.0.2.1", "SESAME_PASSKEY_RP_ID")

	d.PublicURL, d.LinkURL = "https://auth.example.com", "https://auth.example.com"
	d.AppURL = "https://app.example.com/login"
	set("auth.example.com", "https://auth.example.com")
	require(t, d, "passkeys", doctor.Warning,
		"pages of https://app.example.com cannot use them", "the domain that all pages share")
	set("example.com", "https://auth.example.com", "https://app.example.com")
	require(t, d, "passkeys", doctor.OK, "for example.com", "")
}
