package doctor_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/version"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var theSecret, otherSecret = secret.Secret("a secret of thirty-two bytes, and more"),
	secret.Secret("another one of thirty-two bytes or so")

// newDeployment returns a healthy deployment, with an SMTP server, whose server was not started yet.
func newDeployment(t *testing.T, engine databasetest.Engine) *doctor.Deployment {
	t.Helper()
	authority := certtest.NewAuthority(t)
	smtp := &mailtest.Server{
		Certificate: authority.Issue(t, "127.0.0.1", time.Now().Add(100*24*time.Hour)), Mechanisms: []string{"PLAIN"},
	}
	d := &doctor.Deployment{
		Version: version.Current().Version, Hashers: 1, Processors: 1, Memory: 1 << 30, Roots: authority.Pool,
		Config: server.Config{
			Addr: porttest.Address(t), AdminAddr: porttest.Address(t), DataDir: filepath.Join(t.TempDir(), "data"),
			Brand: brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor}, Audience: "test",
			SigningAlgorithm: signing.ES256, KeyReloadInterval: time.Hour,
			AccessTokenTTL: 15 * time.Minute, RefreshTokenTTL: 336 * time.Hour, SessionTTL: 720 * time.Hour,
			ResetTokenTTL: time.Hour, AuditRetention: 30 * 24 * time.Hour,
			Registration: auth.RegistrationOpen, EmailVerification: auth.VerificationOff,
			Passkeys: passkey.Config{ID: "localhost", Name: "Test", Origins: []string{"http://localhost"}},
			Hashing:  password.Config{AtOnce: 1, Wait: time.Minute, Parameters: password.WeakParameters},
			SMTPURL:  smtp.Start(t).URL(), SMTPRoots: authority.Pool, MailFrom: "sesame@example.com",
			Log: slog.New(slog.DiscardHandler), Now: time.Now,
		},
	}
	d.PublicURL = "http://" + d.Addr
	d.LinkURL = d.PublicURL
	if engine == databasetest.Postgres {
		d.DatabaseURL, d.Secret = databasetest.URL(t, engine), theSecret
	}
	t.Cleanup(func() {
		for len(smtp.Received) > 0 {
			t.Errorf("an email was sent: %s", (<-smtp.Received).Raw)
		}
	})
	return d
}

// install runs the first start of the server without serving, and returns it. It is closed at the
// end of the test.
func install(t *testing.T, d *doctor.Deployment) *server.Server {
	t.Helper()
	s, err := server.New(t.Context(), d.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// serve starts the server of the deployment until the test ends.
func serve(t *testing.T, d *doctor.Deployment) *server.Server {
	t.Helper()
	s := install(t, d)
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// started returns a deployment after its first start; its server does not run any more.
func started(t *testing.T, engine databasetest.Engine) *doctor.Deployment {
	t.Helper()
	d := newDeployment(t, engine)
	s, err := server.New(t.Context(), d.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// examine returns all findings.
func examine(t *testing.T, d *doctor.Deployment) (findings []doctor.Finding) {
	t.Helper()
	err := doctor.Run(t.Context(), *d, func(f doctor.Finding) { findings = append(findings, f) })
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		needsRemedy := f.Status == doctor.Warning || f.Status == doctor.Error
		if f.Detail == "" || needsRemedy != (f.Remedy != "") {
			t.Errorf("%+v", f)
		}
	}
	return findings
}

// require fails the test if the finding of a check has not this status, this text in its detail, and
// this text in its remedy. It returns all findings.
func require(
	t *testing.T, d *doctor.Deployment, name string, status doctor.Status, detail, remedy string,
) []doctor.Finding {
	t.Helper()
	findings := examine(t, d)
	i := slices.IndexFunc(findings, func(f doctor.Finding) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %s", name)
	}
	got := findings[i]
	if got.Status != status || !strings.Contains(got.Detail, detail) || !strings.Contains(got.Remedy, remedy) {
		t.Errorf("%s: %+v, want %s with %q and %q", name, got, status, detail, remedy)
	}
	return findings
}

// names returns the names of the checks with a status.
func names(findings []doctor.Finding, status doctor.Status) (names []string) {
	for _, f := range findings {
		if f.Status == status {
			names = append(names, f.Name)
		}
	}
	return names
}

// execute changes the database of a deployment.
func execute(t *testing.T, d *doctor.Deployment, statement string, args ...any) {
	t.Helper()
	db, err := server.OpenUnchanged(t.Context(), d.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.WithContext(t.Context()).Exec(statement, args...).Error; err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
