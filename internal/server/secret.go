package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
)

// SecretFile returns the path of the file with the secret, if no setting contains it.
func (c Config) SecretFile() string { return filepath.Join(c.DataDir, "secret") }

// ReadSecrets returns the current secret and, while the secret is being rotated, the previous one.
// It creates none: if the file is missing, its error is fs.ErrNotExist.
func (c Config) ReadSecrets() ([]secret.Secret, error) {
	current := c.Secret
	if current == nil {
		var err error
		if current, err = readSecretFile(c.SecretFile()); err != nil {
			return nil, err
		}
	}
	if c.PreviousSecret == nil {
		return []secret.Secret{current}, nil
	}
	return []secret.Secret{current, c.PreviousSecret}, nil
}

// loadSecrets is like Config.ReadSecrets. It creates the file if it does not exist and nothing in
// the database was made with another secret. Several instances may start at the same time: one
// creates the file and all of them read it.
func (s *Server) loadSecrets(ctx context.Context) ([]secret.Secret, error) {
	secrets, err := s.config.ReadSecrets()
	if !errors.Is(err, fs.ErrNotExist) {
		return secrets, err
	}
	path := s.config.SecretFile()
	keys, err := signing.List(ctx, s.DB, s.config.SigningAlgorithm, s.config.Now())
	switch {
	case err != nil:
		return nil, err
	case len(keys) > 0:
		return nil, fmt.Errorf("secret: %s is missing, and the database next to it was created with it: "+
			"restore the file from a backup, or set SESAME_SECRET to what it contained", path)
	}
	if err := createSecretFile(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return s.config.ReadSecrets()
}

func readSecretFile(path string) (secret.Secret, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	loaded, err := secret.Parse(string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return loaded, nil
}

// createSecretFile writes a new secret to path, completely and synced, or not at all. It does not
// replace an existing file.
func createSecretFile(path string) error {
	random := make([]byte, secret.MinBytes)
	_, _ = rand.Read(random)                                                     // never fails (crypto/rand)
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, base64.StdEncoding.EncodeToString(random))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path) // unlike a rename, it fails if the file exists
	}
	return errors.Join(err, os.Remove(file.Name()))
}
