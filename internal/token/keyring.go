package token

import (
	"context"
	"crypto"
	"crypto/cipher"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/verify"
)

const (
	// lookUpEvery bounds how often a token that names an unknown key has the database asked for it.
	lookUpEvery = time.Second
	// lookUpTimeout bounds how long that takes.
	lookUpTimeout = 2 * time.Second
)

// Keyring holds the keys of the installation, opened, and makes, rotates and deletes them in the database.
// Instances that share one agree about every key: the next one is the row of the next generation, which only
// one of them can insert. It is safe for concurrent use.
type Keyring struct {
	db        *gorm.DB
	aeads     []cipher.AEAD // of the secret and of the previous ones
	algorithm Algorithm
	lifetime  time.Duration // of the longest-lived token a key signs
	now       func() time.Time

	keys     atomic.Pointer[[]*key] // the newest first
	lookUp   sync.Mutex
	lookedUp time.Time
}

// OpenKeyring opens the keys in db and makes the first one of algorithm when there is none. Keys sealed under
// a previous secret are sealed anew. lifetime is that of access tokens. Errors: ErrSealed, and what the
// database says.
func OpenKeyring(ctx context.Context, db *gorm.DB, secrets Secrets, algorithm Algorithm, lifetime time.Duration, now func() time.Time) (*Keyring, error) {
	ring := &Keyring{db: db, algorithm: algorithm, lifetime: lifetime, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
	for _, secret := range secrets {
		aead, err := newAEAD(secret)
		if err != nil {
			return nil, err
		}
		ring.aeads = append(ring.aeads, aead)
	}
	if err := ring.reseal(ctx); err != nil {
		return nil, err
	}
	return ring, ring.Reload(ctx)
}

// Reload brings the keys up to date: makes the one that is due, deletes those that are gone, and opens the
// rest. On an error the keys stay as they were.
func (k *Keyring) Reload(ctx context.Context) error {
	for {
		rows, err := k.load(ctx)
		if err != nil {
			return err
		}
		now := k.now()
		signsFrom, due := k.due(rows, now)
		if due {
			if _, err := k.insert(ctx, rows, signsFrom); err != nil {
				return err
			}
			continue // whoever was first: the row is there in the next round
		}
		var opened []*key
		for i, row := range rows {
			if k.gone(rows, i, now) {
				err := k.changed(ctx, audit.DeleteKey, row.Kid, func(tx *gorm.DB) *gorm.DB {
					return tx.Where("kid = ?", row.Kid).Delete(&SigningKey{})
				})
				if err != nil {
					return err
				}
				continue
			}
			key, err := open(row, k.aeads)
			if err != nil {
				return err
			}
			opened = append(opened, key)
		}
		k.keys.Store(&opened)
		return nil
	}
}

// Run reloads every so often until ctx ends, so that what one instance or a command changed reaches all.
func (k *Keyring) Run(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			bounded, cancel := context.WithTimeout(ctx, every)
			if err := k.Reload(bounded); err != nil && ctx.Err() == nil {
				log.Error("the signing keys could not be reloaded; those known go on", "err", err)
			}
			cancel()
		}
	}
}

// Public lists the published keys, the newest first.
func (k *Keyring) Public() []PublicKey {
	var keys []PublicKey
	for _, key := range *k.keys.Load() {
		keys = append(keys, key.jwk)
	}
	return keys
}

// signing is the newest key that signs already. Where none does, because the one that did was revoked, the
// earliest of the next ones does.
func (k *Keyring) signing() *key {
	now := k.now()
	var next *key
	for _, key := range *k.keys.Load() {
		if key.algorithm != k.algorithm {
			continue
		}
		if !key.signsFrom.After(now) {
			return key
		}
		next = key
	}
	return next
}

// byKid is the key a token names. The database is asked for one that is not known, at most once a second:
// another instance may have made it a moment ago. Errors: verify.ErrToken.
func (k *Keyring) byKid(ctx context.Context, kid string) (crypto.PublicKey, error) {
	if key, known := k.find(kid); known {
		return key.public, nil
	}
	k.lookUp.Lock()
	defer k.lookUp.Unlock()
	if now := k.now(); now.Sub(k.lookedUp).Abs() >= lookUpEvery {
		k.lookedUp = now
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpTimeout) // for every token that waits
		defer cancel()
		_ = k.Reload(ctx) // the token is refused, as it would be had nobody asked; Run tells of the fault
	}
	if key, known := k.find(kid); known {
		return key.public, nil
	}
	return nil, verify.ErrToken
}

func (k *Keyring) find(kid string) (*key, bool) {
	keys := *k.keys.Load()
	at := slices.IndexFunc(keys, func(key *key) bool { return key.kid == kid })
	if at < 0 {
		return nil, false
	}
	return keys[at], true
}

func (k *Keyring) load(ctx context.Context) ([]SigningKey, error) {
	var rows []SigningKey
	if err := k.db.WithContext(ctx).Order("generation DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	return rows, nil
}
