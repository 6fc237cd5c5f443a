package signing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

const (
	// RotateEvery is how long a key signs before the next one does.
	RotateEvery = 90 * 24 * time.Hour
	// PublishBefore is how long before that the next key is published. It is for verifiers that cache
	// keys longer than JWKSMaxAge.
	PublishBefore = 24 * time.Hour
	// RotateAfter is how long the next key is published before it signs if an operator rotates the
	// keys. It is longer than JWKSMaxAge, so a verifier that respects JWKSMaxAge always has the key in
	// time.
	RotateAfter = 10 * time.Minute
	// JWKSMaxAge is how long verifiers may cache the published keys.
	JWKSMaxAge = 5 * time.Minute
	// clockSkew is how long a key is kept after its last token expired, because clocks differ.
	clockSkew = time.Minute
)

// ErrNoSuchKey is returned if no stored key has the given kid.
var ErrNoSuchKey = errors.New("there is no such signing key")

// State is the state of a key.
type State string

// The states.
const (
	Next    State = "next"    // published, does not sign yet
	Active  State = "active"  // signs
	Retired State = "retired" // published, no longer signs
)

// KeyInfo describes a stored key to an operator.
type KeyInfo struct {
	Kid       string
	Algorithm Algorithm
	State     State
	CreatedAt time.Time
	SignsFrom time.Time
}

// List returns every stored key, the newest first.
func (k *Keyring) List(ctx context.Context) ([]KeyInfo, error) {
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	rows, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	active, keys := k.Active(), make([]KeyInfo, len(rows))
	for i, row := range rows {
		state := Retired
		switch {
		case row.Kid == active.Kid:
			state = Active
		case row.SignsFrom.After(k.now()):
			state = Next
		}
		keys[i] = KeyInfo{
			Kid: row.Kid, Algorithm: row.Algorithm, State: state,
			CreatedAt: row.CreatedAt, SignsFrom: row.SignsFrom,
		}
	}
	return keys, nil
}

// Rotate publishes the next key now, makes it sign RotateAfter from now, and returns its kid. If
// the next key is published already, Rotate only makes it sign earlier.
func (k *Keyring) Rotate(ctx context.Context) (string, error) {
	rows, err := k.load(ctx)
	if err != nil {
		return "", err
	}
	signsFrom := k.now().Add(RotateAfter)
	newest := k.newest(rows)
	if newest != nil && newest.SignsFrom.After(k.now()) {
		return newest.Kid, k.change(ctx, audit.AdvanceKey, newest.Kid, func(tx *gorm.DB) *gorm.DB {
			return tx.Model(&StoredKey{}).
				Where("kid = ? AND signs_from > ?", newest.Kid, signsFrom).Update("signs_from", signsFrom)
		})
	}
	kid, err := k.insert(ctx, rows, signsFrom)
	if kid == "" && err == nil {
		return k.Rotate(ctx) // another instance was first: use its key
	}
	return kid, err
}

// Revoke deletes a key. Other instances refuse the tokens that it signed once they have reloaded
// their keys. If no other key is left, Revoke makes a new one. It returns ErrNoSuchKey if there is
// no key with this kid.
func (k *Keyring) Revoke(ctx context.Context, kid string) error {
	revoked := false
	err := k.change(ctx, audit.RevokeKey, kid, func(tx *gorm.DB) *gorm.DB {
		deletion := tx.Where("kid = ?", kid).Delete(&StoredKey{})
		revoked = deletion.RowsAffected > 0
		return deletion
	})
	switch {
	case err != nil:
		return err
	case !revoked:
		return ErrNoSuchKey
	}
	return k.Reload(ctx)
}

// newest returns the newest key of the configured algorithm, or nil.
func (k *Keyring) newest(rows []StoredKey) *StoredKey {
	i := slices.IndexFunc(rows, func(row StoredKey) bool { return row.Algorithm == k.config.Algorithm })
	if i < 0 {
		return nil
	}
	return &rows[i]
}

// due reports whether the next key has to be made now, and returns when it starts to sign.
func (k *Keyring) due(rows []StoredKey, now time.Time) (signsFrom time.Time, due bool) {
	newest := k.newest(rows)
	if newest == nil {
		return now, true
	}
	publish := newest.SignsFrom.Add(RotateEvery - PublishBefore)
	return now.Add(PublishBefore), !now.Before(publish)
}

// expired reports whether every token that the i-th key signed has expired. A key signs until the
// next key of its algorithm does. The last key of an algorithm that is no longer configured has no
// next key. It counts as signing for RotateEvery.
func (k *Keyring) expired(rows []StoredKey, i int, now time.Time) bool {
	row := rows[i]
	if newest := k.newest(rows); newest != nil && newest.Kid == row.Kid {
		return false
	}
	until := row.SignsFrom.Add(RotateEvery)
	for _, later := range rows[:i] { // the newest first, so the last match is the next key
		if later.Algorithm == row.Algorithm {
			until = later.SignsFrom
		}
	}
	return now.After(until.Add(k.config.TokenLifetime + clockSkew))
}

// insert stores a new key as the next generation. It returns the key's kid, or "" if another
// instance was first.
func (k *Keyring) insert(ctx context.Context, rows []StoredKey, signsFrom time.Time) (string, error) {
	row, err := generate(k.config.Algorithm, k.sealer)
	if err != nil {
		return "", err
	}
	row.Generation, row.CreatedAt, row.SignsFrom = 1, k.now(), signsFrom
	if len(rows) > 0 {
		row.Generation = rows[0].Generation + 1
	}
	created := false
	err = k.change(ctx, audit.CreateKey, row.Kid, func(tx *gorm.DB) *gorm.DB {
		creation := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		created = creation.RowsAffected > 0
		return creation
	})
	if err != nil || !created {
		return "", err
	}
	return row.Kid, nil
}

// change runs a statement that changes a key, and records an event if it changed a row.
func (k *Keyring) change(ctx context.Context, kind audit.Kind, kid string, change func(tx *gorm.DB) *gorm.DB) error {
	err := k.db.Transaction(ctx, func(tx *gorm.DB) error {
		changed := change(tx)
		if changed.Error != nil || changed.RowsAffected == 0 {
			return changed.Error
		}
		return audit.Record(tx, audit.Event{At: k.now(), Kind: kind, Outcome: audit.Success, Detail: "kid " + kid})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

// reseal encrypts the keys that were sealed under a previous secret with the current one. Because
// of the condition on the old ciphertext, only one of several instances changes a row.
func (k *Keyring) reseal(ctx context.Context) error {
	rows, err := k.load(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		plain, outdated, err := k.sealer.Open(row.Sealed, row.Kid)
		if err != nil {
			return fmt.Errorf("signing key %s: %w", row.Kid, err)
		}
		if !outdated {
			continue
		}
		err = k.db.Statement(ctx, func(db *gorm.DB) error {
			return db.Model(&StoredKey{}).Where("kid = ? AND sealed = ?", row.Kid, row.Sealed).
				Update("sealed", k.sealer.Seal(plain, row.Kid)).Error
		})
		if err != nil {
			return fmt.Errorf("re-seal signing key: %w", err)
		}
	}
	return nil
}
