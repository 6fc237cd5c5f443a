// Package doctor checks a deployment, and names the remedy for what it finds.
//
// It opens what the server opens: the data folder, the database, the mail server, the public URL and
// the admin listener. It changes nothing, sends no email, and needs no running server. Each check is
// a function in a file named after its topic. It has a time limit, and those that depend on another
// one are skipped if that fails.
package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/server"
)

// Status is the result of a check.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but may not be intended, or will not work for long
	Error   Status = "error"   // it does not work
	Skipped Status = "skipped" // it could not be checked
)

// Finding is what a check found.
type Finding struct {
	Name   string `json:"name"` // of the check
	Status Status `json:"status"`
	Detail string `json:"detail"`          // what was found; untrusted text
	Remedy string `json:"remedy,omitzero"` // what to do about it; empty if the status is ok
}

// Deployment is what the doctor checks. Fields without a comment are required.
type Deployment struct {
	server.Config

	Questionable []Finding // settings that are valid, but may not be intended; without names
	Version      string    // of this program
	Hashers      int       // the maximum number of processes that hash passwords
	Processors   int       // that this machine, or the container, allows
	Memory       int64     // bytes of this machine or the container; 0: not known

	Roots *x509.CertPool // trusted for the public URL; nil: those of the system
}

// check is one check.
type check struct {
	name    string
	applies func(*examination) bool // nil: to every deployment
	needs   string                  // the check that must not fail before this one; empty: none
	limit   time.Duration
	run     func(context.Context, *examination) Finding
}

const (
	short = 5 * time.Second
	long  = 10 * time.Second // for the network, and for much data
)

// checks lists all checks, in the order in which they run.
var checks = []check{
	{"configuration", nil, "", short, checkConfiguration},
	{"data-folder", (*examination).usesFolder, "", short, checkDataFolder},
	{"disk", (*examination).usesFolder, "", short, checkDisk},
	{"database", nil, "", long, checkDatabase},
	{"schema", nil, "database", short, checkSchema},
	{"database-writes", nil, "schema", long, checkDatabaseWrites},
	{"database-file", (*examination).usesSQLite, "database", long, checkDatabaseFile},
	{"database-connections", (*examination).usesPostgres, "database", short, checkDatabaseConnections},
	{"secret", nil, "", long, checkSecret},
	{"clock", nil, "schema", short, checkClock},
	{"signing-keys", nil, "schema", short, checkSigningKeys},
	{"mail-queue", nil, "schema", short, checkMailQueue},
	{"mail-server", nil, "", long, checkMailServer},
	{"server", nil, "", short, checkServer},
	{"public-url", nil, "", long, checkPublicURL},
	{"client-ip", nil, "public-url", long, checkClientIP},
	{"certificate", (*examination).hasCertificate, "", short, checkCertificate},
	{"passkeys", nil, "", short, checkPasskeys},
	{"open-files", nil, "", short, checkOpenFiles},
	{"processors", nil, "", short, checkProcessors},
	{"memory", nil, "", short, checkMemory},
}

// examination is a Deployment and what the checks so far have found out about it.
type examination struct {
	Deployment

	findings []Finding
	db       *database.DB   // set by a successful check of the database
	facts    database.Facts // likewise
	running  *running       // set by the check of the server; nil: none runs
	reached  bool           // set by the check of the public URL: a server responds there
}

// Run checks a deployment, and calls report with each finding. It returns the cause of ctx if that
// is done before the last check.
func Run(ctx context.Context, deployment Deployment, report func(Finding)) error {
	e := &examination{Deployment: deployment}
	defer e.close()
	for _, c := range checks {
		if c.applies != nil && !c.applies(e) {
			continue
		}
		finding := e.examine(ctx, c)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.findings = append(e.findings, finding)
		report(finding)
	}
	return nil
}

// examine runs one check. A check that ignores its limit, such as one of a file system that does
// not respond, is abandoned.
func (e *examination) examine(ctx context.Context, c check) Finding {
	if c.needs != "" && e.failed(c.needs) {
		return Finding{c.name, Skipped, "needs the check " + c.needs, ""}
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	done := make(chan Finding, 1)
	go func() { done <- c.run(ctx, e) }()
	abandon := time.NewTimer(c.limit + time.Second)
	defer abandon.Stop()
	var finding Finding
	select {
	case finding = <-done:
	case <-abandon.C:
		finding = fail("Find out why the file system or the network does not respond.", "no result within %s", c.limit)
	}
	finding.Name = c.name
	return finding
}

// failed reports whether a check found an error, or was skipped.
func (e *examination) failed(name string) bool {
	return slices.ContainsFunc(e.findings, func(f Finding) bool {
		return f.Name == name && (f.Status == Error || f.Status == Skipped)
	})
}

// close closes the database, unless its check was abandoned.
func (e *examination) close() {
	if opened := slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Name == "database" }); !opened {
		return
	}
	if !e.failed("database") && e.db != nil {
		_ = e.db.Close() // nothing was changed
	}
}

func (e *examination) usesSQLite() bool     { return e.DatabaseURL == "" }
func (e *examination) usesPostgres() bool   { return e.DatabaseURL != "" }
func (e *examination) usesFolder() bool     { return e.DatabaseURL == "" || e.SMTPURL == "" }
func (e *examination) hasCertificate() bool { return e.TLSCert != "" }

func ok(format string, args ...any) Finding {
	return Finding{Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(remedy, format string, args ...any) Finding {
	return Finding{Status: Warning, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(remedy, format string, args ...any) Finding {
	return Finding{Status: Error, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func skip(format string, args ...any) Finding {
	return Finding{Status: Skipped, Detail: fmt.Sprintf(format, args...)}
}

// orOK returns the problems as one finding, with the worst of their statuses, or fine if there are
// none.
func orOK(problems []Finding, fine Finding) Finding {
	if len(problems) == 0 {
		return fine
	}
	all := problems[0]
	for _, problem := range problems[1:] {
		all.Detail += "; " + problem.Detail
		if !strings.Contains(all.Remedy, problem.Remedy) {
			all.Remedy += " " + problem.Remedy
		}
		if problem.Status == Error {
			all.Status = Error
		}
	}
	return all
}
