package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// The life of a key: next, published and not signing yet; active, signing; retired, published while a token
// it signed may live; gone.
const (
	// RotateEvery is how long a key signs before the next one does.
	RotateEvery = 90 * 24 * time.Hour
	// PublishBefore is how long before that the next one is published, for verifiers that keep keys long.
	PublishBefore = 24 * time.Hour
	// RotateAfter is how long a key that an operator asked for is published before it signs: longer than
	// JWKSMaxAge, so that no verifier which keeps to that meets a key it cannot have.
	RotateAfter = 10 * time.Minute
	// JWKSMaxAge is how long a verifier may keep the published keys.
	JWKSMaxAge = 5 * time.Minute
)

// ErrNoSuchKey says that no stored key has the kid.
var ErrNoSuchKey = errors.New("there is no such signing key")

// Rotate publishes a next key now, which signs RotateAfter from now, and returns its kid. A next key that
// there is already is not replaced but brought forward.
func (k *Keyring) Rotate(ctx context.Context) (string, error) {
	rows, err := k.load(ctx)
	if err != nil {
		return "", err
	}
	signsFrom := k.now().Add(RotateAfter)
	newest := k.newest(rows)
	if newest != nil && newest.SignsFrom.After(k.now()) {
		return newest.Kid, k.changed(ctx, audit.AdvanceKey, newest.Kid, func(tx *gorm.DB) *gorm.DB {
			return tx.Model(&SigningKey{}).
				Where("kid = ? AND signs_from > ?", newest.Kid, signsFrom).Update("signs_from", signsFrom)
		})
	}
	kid, err := k.insert(ctx, rows, signsFrom)
	if kid == "" && err == nil {
		return k.Rotate(ctx) // somebody else was first
	}
	return kid, err
}

// Revoke deletes a key: what it signed is refused as soon as an instance has reloaded, and a new key signs if
// there is no other. Errors: ErrNoSuchKey.
func (k *Keyring) Revoke(ctx context.Context, kid string) error {
	revoked := false
	err := k.changed(ctx, audit.RevokeKey, kid, func(tx *gorm.DB) *gorm.DB {
		deletion := tx.Where("kid = ?", kid).Delete(&SigningKey{})
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

// Key is what an operator may know of a key.
type Key struct {
	Kid       string
	Algorithm Algorithm
	State     string // next, active or retired
	CreatedAt time.Time
	SignsFrom time.Time
}

// List tells every stored key, the newest first.
func (k *Keyring) List(ctx context.Context) ([]Key, error) {
	rows, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	signing, keys := k.signing(), make([]Key, len(rows))
	for i, row := range rows {
		state := "retired"
		switch {
		case row.Kid == signing.kid:
			state = "active"
		case row.SignsFrom.After(k.now()):
			state = "next"
		}
		keys[i] = Key{Kid: row.Kid, Algorithm: row.Algorithm, State: state, CreatedAt: row.CreatedAt, SignsFrom: row.SignsFrom}
	}
	return keys, nil
}

// newest is the last key of the algorithm in use, nil if there is none.
func (k *Keyring) newest(rows []SigningKey) *SigningKey {
	at := slices.IndexFunc(rows, func(row SigningKey) bool { return row.Algorithm == k.algorithm })
	if at < 0 {
		return nil
	}
	return &rows[at]
}

// due tells whether a key has to be made, and when that one is to sign.
func (k *Keyring) due(rows []SigningKey, now time.Time) (time.Time, bool) {
	newest := k.newest(rows)
	if newest == nil {
		return now, true
	}
	published := newest.SignsFrom.Add(RotateEvery - PublishBefore)
	return now.Add(PublishBefore), !now.Before(published)
}

// gone tells whether no token of a key can live any more. The last key of an algorithm that is no longer in
// use has no successor; its time is over when it would have had one.
func (k *Keyring) gone(rows []SigningKey, at int, now time.Time) bool {
	row := rows[at]
	until := row.SignsFrom.Add(RotateEvery)
	for _, later := range rows[:at] { // newest first: the last one seen is the next in line
		if later.Algorithm == row.Algorithm {
			until = later.SignsFrom
		}
	}
	if newest := k.newest(rows); newest != nil && newest.Kid == row.Kid {
		return false
	}
	return now.After(until.Add(k.lifetime + time.Minute)) // a minute for clocks that differ
}

// insert stores a new key as the next generation, and returns its kid, or none when another instance was first.
func (k *Keyring) insert(ctx context.Context, rows []SigningKey, signsFrom time.Time) (string, error) {
	row, err := generate(k.algorithm, k.aeads[0])
	if err != nil {
		return "", err
	}
	row.Generation, row.CreatedAt, row.SignsFrom = 1, k.now(), signsFrom
	if len(rows) > 0 {
		row.Generation = rows[0].Generation + 1
	}
	created := false
	err = k.changed(ctx, audit.CreateKey, row.Kid, func(tx *gorm.DB) *gorm.DB {
		creation := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		created = creation.RowsAffected > 0
		return creation
	})
	if err != nil || !created {
		return "", err
	}
	return row.Kid, nil
}

// changed makes a change to a key and records it, if there was something to change.
func (k *Keyring) changed(ctx context.Context, kind audit.Kind, kid string, change func(tx *gorm.DB) *gorm.DB) error {
	err := database.Transaction(ctx, k.db, func(tx *gorm.DB) error {
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

// reseal seals keys of a previous secret under the present one. The condition on the old text lets one of
// several instances do it.
func (k *Keyring) reseal(ctx context.Context) error {
	rows, err := k.load(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		plain, by, err := unseal(row, k.aeads)
		if err != nil {
			return err
		}
		if by == 0 {
			continue
		}
		err = k.db.WithContext(ctx).Model(&SigningKey{}).Where("kid = ? AND sealed = ?", row.Kid, row.Sealed).
			Update("sealed", seal(k.aeads[0], plain, row.Kid)).Error
		if err != nil {
			return fmt.Errorf("seal signing key anew: %w", err)
		}
	}
	return nil
}
