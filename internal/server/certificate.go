package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadInterval is how often the files of the certificate are read.
const reloadInterval = time.Second

// certificate is the TLS certificate of the API. It follows its files, which another program
// replaces when it renews the certificate.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	current atomic.Pointer[tls.Certificate]
	seen    string // identifies the content of the files when they were last loaded, or could not be
}

// openCertificate loads the certificate.
func openCertificate(config Config) (*certificate, error) {
	c := &certificate{certFile: config.TLSCert, keyFile: config.TLSKey, log: config.Log, now: config.Now}
	return c, c.load()
}

// run loads the certificate again whenever its files change, until ctx is done. If they cannot be
// used, for example because only one of them was replaced yet, it logs that once and keeps the
// current certificate.
func (c *certificate) run(ctx context.Context) {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.load(); err != nil {
				c.log.Error("the TLS certificate cannot be loaded; keeping the current one",
					"err", err, "expires", c.expiry())
			}
		}
	}
}

// load reads the files and, if they have changed, loads the certificate. It returns the same error
// only once.
func (c *certificate) load() error {
	cert, certErr := os.ReadFile(c.certFile)
	key, keyErr := os.ReadFile(c.keyFile)
	err := errors.Join(certErr, keyErr)
	seen := fmt.Sprintf("%x %x %v", sha256.Sum256(cert), sha256.Sum256(key), err)
	if seen == c.seen {
		return nil
	}
	c.seen = seen
	if err != nil {
		return err
	}
	loaded, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&loaded)
	c.log.Info("using a TLS certificate", "file", c.certFile, "expires", c.expiry())
	if c.expiry().Before(c.now()) {
		c.log.Warn("the TLS certificate has expired")
	}
	return nil
}

// expiry returns when the current certificate expires.
func (c *certificate) expiry() time.Time { return c.current.Load().Leaf.NotAfter }

// config returns the configuration of a listener that uses the current certificate for each new
// connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
