package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// installation is everything a running server consists of, wired.
type installation struct {
	outbox    *mail.Outbox
	keys      *token.Keyring
	authority *auth.Authority
	metrics   *httpapi.Metrics
	api       http.Handler
}

// openDatabase opens and migrates the database the configuration names.
func openDatabase(ctx context.Context, c *config) (*gorm.DB, error) {
	url := c.databaseURL
	if url == "" {
		if err := os.MkdirAll(c.dataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		url = "sqlite:" + filepath.Join(c.dataDir, "sesame.db")
	}
	db, err := database.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := database.Migrate(ctx, db); err != nil {
		return nil, errors.Join(err, database.Close(db))
	}
	return db, nil
}

// install wires the rooms together over an open database.
func install(ctx context.Context, c *config, db *gorm.DB, hasher *password.Hasher, log *slog.Logger) (*installation, error) {
	secrets, err := secretsOf(c)
	if err != nil {
		return nil, err
	}
	keys, err := openKeyring(ctx, c, db, secrets)
	if err != nil {
		return nil, err
	}
	sender, err := senderOf(c)
	if err != nil {
		return nil, err
	}
	outbox := mail.NewOutbox(db, sender, log, time.Now)
	access := token.NewAccessTokens(keys, c.publicURL, c.audience, c.accessTokenTTL, time.Now)
	var limits *throttle.Throttle
	if c.throttle {
		limits = throttle.New(db, secrets[0], time.Now)
	}
	authority := auth.New(db, access, token.NewRefreshCodec(secrets), outbox, hasher, limits, auth.Settings{
		SessionLifetime: c.sessionTTL, IdleLifetime: c.refreshTokenTTL, RefreshGrace: c.refreshGrace,
		ResetTokenLifetime: c.resetTokenTTL, AuditRetention: c.auditRetention,
		ResetURL: c.resetURL, Product: c.brand.Name,
	}, time.Now)
	pools, err := database.Pools(db)
	if err != nil {
		return nil, err
	}
	metrics := httpapi.NewMetrics(hasher, outbox, pools)
	handler, err := httpapi.New(authority, keys, metrics, httpapi.Settings{
		PublicURL: c.publicURL, TrustedProxies: c.trustedProxies, CORSOrigins: c.corsOrigins,
		Brand: c.brand, ResetURL: c.resetURL, Mailbox: c.mailbox(),
	}, log)
	if err != nil {
		return nil, err
	}
	return &installation{outbox: outbox, keys: keys, authority: authority, metrics: metrics, api: handler}, nil
}

// openKeyring opens the signing keys and tells a wrong secret in words.
func openKeyring(ctx context.Context, c *config, db *gorm.DB, secrets token.Secrets) (*token.Keyring, error) {
	keys, err := token.OpenKeyring(ctx, db, secrets, c.algorithm, c.accessTokenTTL, time.Now)
	if errors.Is(err, token.ErrSealed) {
		err = fmt.Errorf("%w: SESAME_SECRET, or the file secret in the data folder, is not the one this database was made with", err)
	}
	return keys, err
}

// secretsOf is the present secret and, while it is rotated, the one before.
func secretsOf(c *config) (token.Secrets, error) {
	secret, err := secretOf(c)
	if err != nil {
		return nil, err
	}
	if c.secretPrevious == nil {
		return token.Secrets{secret}, nil
	}
	return token.Secrets{secret, c.secretPrevious}, nil
}

// secretOf is the configured secret, or the one in the data folder, which is made when there is none. Of
// several instances that start at once, one makes it.
func secretOf(c *config) (token.Secret, error) {
	if c.secret != nil {
		return c.secret, nil
	}
	path := filepath.Join(c.dataDir, "secret")
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSecret(path); err == nil || errors.Is(err, fs.ErrExist) {
			content, err = os.ReadFile(path) //nolint:gosec // as above
		}
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	secret, err := token.ParseSecret(string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secret, nil
}

// makeSecret writes a fresh secret to path, whole and durable or not at all; it does not replace one.
func makeSecret(path string) error {
	fresh := make([]byte, token.MinSecretBytes)
	_, _ = rand.Read(fresh)                                                      // never fails (crypto/rand)
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, base64.StdEncoding.EncodeToString(fresh))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path) // fails if there is one by now, which a rename would not
	}
	return errors.Join(err, os.Remove(file.Name()))
}

func senderOf(c *config) (mail.Sender, error) {
	if c.smtpURL == "" {
		return mail.NewFolder(c.mailFolder(), c.mailFrom)
	}
	sender, err := mail.NewSMTP(c.smtpURL, c.mailFrom, nil)
	if err != nil {
		return nil, usageError{fmt.Errorf("SESAME_SMTP_URL: %w", err)}
	}
	return sender, nil
}
