package doctor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
)

// These are conditions that a test cannot make: a network file system, a full disk, another version
// of PostgreSQL, another machine.
func TestJudgments(t *testing.T) {
	const mib = 1 << 20
	good := database.Facts{Version: "17.4", Major: 17, TLS: "TLS 1.3", RoundTrip: time.Millisecond}
	with := func(change func(*database.Facts)) Finding {
		facts := good
		change(&facts)
		return judgePostgres(facts)
	}
	for _, test := range []struct {
		got            Finding
		status         Status
		detail, remedy string
	}{
		{orOK(fileSystemProblems("/data", "nfs"), ok("")), Error, "network file system (nfs)", "local disk"},
		{orOK(fileSystemProblems("/data", ""), ok("")), OK, "", ""},
		{judgeDisk(10*mib, 1000*mib, mib), Error, "10.0 MiB of 1000.0 MiB are free; the database takes 1.0 MiB", "Make room"},
		{judgeDisk(300*mib, 1000*mib, mib), Warning, "300.0 MiB", "Make room"},
		{judgeDisk(2000*mib, 9000*mib, 3000*mib), Warning, "2.9 GiB", "Make room"},
		{judgeDisk(4000*mib, 9000*mib, 3000*mib), OK, "3.9 GiB", ""},
		{with(func(*database.Facts) {}), OK, "PostgreSQL 17.4, TLS 1.3, a round trip takes 1ms", ""},
		{with(func(f *database.Facts) { f.Major, f.Version = 13, "13.2" }), Error,
			"13.2 is not supported", "Upgrade PostgreSQL"},
		{with(func(f *database.Facts) { f.Major = 14 }), OK, "", ""},
		{with(func(f *database.Facts) { f.Major = 18 }), OK, "", ""},
		{with(func(f *database.Facts) { f.Major = 19 }), Warning, "not tested", "Upgrade Sesame"},
		{with(func(f *database.Facts) { f.TLS = "" }), Warning, "not encrypted", "sslmode=verify-full"},
		{with(func(f *database.Facts) { f.TLS, f.Local = "", true }), OK, "on this machine", ""},
		{with(func(f *database.Facts) { f.RoundTrip = time.Second }), Warning, "takes 1s", "near"},
	} {
		if test.got.Status != test.status || !strings.Contains(test.got.Detail, test.detail) ||
			!strings.Contains(test.got.Remedy, test.remedy) {
			t.Errorf("%+v, want %s with %q and %q", test.got, test.status, test.detail, test.remedy)
		}
	}
}

// A check that ignores its deadline is abandoned.
func TestAbandonedCheck(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	e := &examination{}
	finding := e.examine(t.Context(), check{
		name: "stuck", limit: time.Millisecond,
		run: func(context.Context, *examination) Finding { <-end; return ok("") },
	})
	if finding.Name != "stuck" || finding.Status != Error || finding.Remedy == "" {
		t.Errorf("%+v", finding)
	}
}
