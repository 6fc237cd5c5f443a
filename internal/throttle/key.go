package throttle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/secret"
)

// LoadKey returns the key of an installation's pseudonyms, and makes it if there is none. It is
// random and stored sealed, so budgets and known networks survive a rotation of the secret, after
// which LoadKey seals it again. It returns secret.ErrSealed if none of the secrets decrypts it.
func LoadKey(ctx context.Context, db *database.DB, secrets []secret.Secret) ([]byte, error) {
	key, err := loadKey(ctx, db, newSealer(secrets))
	if err != nil {
		return nil, fmt.Errorf("throttle key: %w", err)
	}
	return key, nil
}

// CheckKey reports whether the key is sealed under a previous secret. It changes nothing. It returns
// secret.ErrSealed if none of the secrets decrypts the key.
func CheckKey(ctx context.Context, db *database.DB, secrets []secret.Secret) (outdated bool, err error) {
	sealed, err := readKey(ctx, db)
	if err == nil && sealed != nil {
		_, outdated, err = newSealer(secrets).Open(sealed, keyContext)
	}
	if err != nil {
		return false, fmt.Errorf("throttle key: %w", err)
	}
	return outdated, nil
}

func newSealer(secrets []secret.Secret) secret.Sealer {
	return secret.NewSealer(secrets, "throttle key seal v1")
}

const keyContext = "throttle key"

func loadKey(ctx context.Context, db *database.DB, sealer secret.Sealer) ([]byte, error) {
	sealed, err := readKey(ctx, db)
	if err == nil && sealed == nil {
		made := make([]byte, 32)
		_, _ = rand.Read(made)                            // never fails (crypto/rand)
		err = db.Statement(ctx, func(tx *gorm.DB) error { // of several instances, one inserts the key
			return tx.Exec("INSERT INTO throttle_key (id, sealed) VALUES (1, ?) ON CONFLICT (id) DO NOTHING",
				sealer.Seal(made, keyContext)).Error
		})
		if err == nil {
			sealed, err = readKey(ctx, db)
		}
	}
	if err != nil {
		return nil, err
	}
	key, outdated, err := sealer.Open(sealed, keyContext)
	if err == nil && outdated {
		err = db.Statement(ctx, func(tx *gorm.DB) error {
			return tx.Exec("UPDATE throttle_key SET sealed = ? WHERE sealed = ?",
				sealer.Seal(key, keyContext), sealed).Error
		})
	}
	return key, err
}

// readKey returns the sealed key, or nil if there is none.
func readKey(ctx context.Context, db *database.DB) ([]byte, error) {
	var row struct{ Sealed []byte }
	err := db.WithContext(ctx).Table("throttle_key").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return row.Sealed, err
}
