package main

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// If a server is killed while it is sending an email, another one sends it, or the same after its
// restart.
func TestEmailAfterKill(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		var works atomic.Bool
		busy, hang := make(chan struct{}, 1), make(chan struct{})
		defer close(hang)
		mailServer := (&mailtest.Server{OnRcpt: func(string) error {
			if !works.Load() {
				busy <- struct{}{}
				<-hang
			}
			return nil
		}}).Start(t)
		settings := []string{
			"SESAME_SMTP_URL=" + mailServer.URL(), "SESAME_MAIL_FROM=no-reply@example.com", "SESAME_EMAIL_VERIFICATION=off",
		}
		server := processtest.New(t, engine, settings...)
		server.Start(t)
		server.Login(t)
		forgotPassword(t, server)
		<-busy // the server holds the email
		works.Store(true)
		other := server // SQLite has one server, which starts again
		if engine == databasetest.Postgres {
			other = processtest.New(t, engine, append(settings, "SESAME_DATABASE_URL="+server.DatabaseURL)...)
			other.Start(t)
		}
		killed := time.Now()
		if _, err := server.Stop(t, syscall.SIGKILL); err == nil {
			t.Fatal("the server reports success after kill -9")
		}
		if len(mailServer.Received) != 0 {
			t.Error("the other server has sent the email, too")
		}
		if other == server {
			server.Start(t)
		}
		select {
		case got := <-mailServer.Received:
			t.Logf("sent after %v", time.Since(killed))
			if got.To != processtest.Email {
				t.Errorf("sent to %s", got.To)
			}
		case <-time.After(20 * time.Second): // 5.5 s on an idle machine
			t.Fatal("not sent")
		}
		if _, err := other.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if len(mailServer.Received) != 0 {
			t.Error("sent twice")
		}
	})
}

// A server trusts the certificate authorities in SESAME_SMTP_CA_FILE.
func TestPrivateAuthority(t *testing.T) {
	ca := certtest.NewAuthority(t)
	mailServer := (&mailtest.Server{Certificate: ca.Issue(t, "127.0.0.1", time.Now().Add(time.Hour))}).Start(t)
	server := processtest.New(t, databasetest.SQLite, "SESAME_SMTP_URL="+mailServer.URL(),
		"SESAME_MAIL_FROM=no-reply@example.com", "SESAME_SMTP_CA_FILE=ca.pem")
	if err := os.WriteFile(filepath.Join(server.Folder, "ca.pem"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Start(t)
	server.Login(t)
	forgotPassword(t, server)
	select {
	case got := <-mailServer.Received:
		if !got.TLS {
			t.Error("sent without TLS")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not sent")
	}
}

// forgotPassword requests an email to Ada.
func forgotPassword(t *testing.T, server *processtest.Server) {
	t.Helper()
	status, _ := server.Post(t, "/auth/forgot-password", `{"email":"`+processtest.Email+`"}`)
	if status != http.StatusAccepted {
		t.Fatalf("forgot password: %d", status)
	}
}
