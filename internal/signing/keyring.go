// Package signing manages the keys that sign access tokens: it makes, encrypts, rotates and
// publishes them.
//
// A new key is first next: it is published, but does not sign yet. Then it is active and signs.
// Then it is retired: it no longer signs, but is published until the last token that it signed has
// expired. Then it is deleted. Private keys are stored encrypted under the installation's secret.
package signing

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/verify"
)

const (
	// lookUpEvery limits how often a token with an unknown kid causes a database query.
	lookUpEvery = time.Second
	// lookUpTimeout bounds such a query.
	lookUpTimeout = 2 * time.Second
)

// Config configures a Keyring. All fields are required.
type Config struct {
	DB            *database.DB
	Secrets       []secret.Secret // the current secret first, then the previous ones
	Algorithm     Algorithm       // of new keys
	TokenLifetime time.Duration   // of the tokens that the keys sign
	Now           func() time.Time
}

// Keyring has the decrypted keys of the installation, and makes, rotates and deletes keys in the
// database. Instances that share a database agree on every key: the next key is the row with the
// next generation, which only one of them can insert. A Keyring is safe for concurrent use.
type Keyring struct {
	config Config
	db     *database.DB
	sealer secret.Sealer

	keys   atomic.Pointer[[]*Key] // the newest first
	mu     sync.Mutex
	latest *lookUp // nil: none yet
}

// lookUp is a reload because of an unknown kid.
type lookUp struct {
	done chan struct{} // closed when at and err are set
	at   time.Time
	err  error
}

// Open decrypts the stored keys, and makes the first one if there is none. It re-seals keys that
// were sealed under a previous secret. It returns secret.ErrSealed if none of the secrets decrypts
// a key.
func Open(ctx context.Context, config Config) (*Keyring, error) {
	ring := &Keyring{config: config, db: config.DB, sealer: newSealer(config.Secrets)}
	if err := ring.reseal(ctx); err != nil {
		return nil, err
	}
	return ring, ring.Reload(ctx)
}

// CheckSealed decrypts every stored key, and returns how many there are, and how many of them are
// sealed under a previous secret. It changes nothing. It returns secret.ErrSealed if none of the
// secrets decrypts a key.
func CheckSealed(ctx context.Context, db *database.DB, secrets []secret.Secret) (keys, outdated int, err error) {
	rows, err := load(ctx, db)
	if err != nil {
		return 0, 0, err
	}
	sealer := newSealer(secrets)
	for _, row := range rows {
		_, isOutdated, err := sealer.Open(row.Sealed, row.Kid)
		if err != nil {
			return 0, 0, fmt.Errorf("signing key %s: %w", row.Kid, err)
		}
		if isOutdated {
			outdated++
		}
	}
	return len(rows), outdated, nil
}

func newSealer(secrets []secret.Secret) secret.Sealer {
	return secret.NewSealer(secrets, "signing key seal v1")
}

// now returns the time in UTC and in microseconds, as both engines store it.
func (k *Keyring) now() time.Time { return k.config.Now().UTC().Truncate(time.Microsecond) }

// Reload makes the next key if it is due, deletes keys that are no longer needed, and loads the
// others. If it returns an error, the keyring keeps the keys it has.
func (k *Keyring) Reload(ctx context.Context) error {
	for {
		rows, err := load(ctx, k.db)
		if err != nil {
			return err
		}
		now := k.now()
		signsFrom, due := k.due(rows, now)
		if due {
			if _, err := k.insert(ctx, rows, signsFrom); err != nil {
				return err
			}
			continue // this instance or another one inserted the row: load it
		}
		var keys []*Key
		for i, row := range rows {
			if k.expired(rows, i, now) {
				err := k.change(ctx, audit.DeleteKey, row.Kid, func(tx *gorm.DB) *gorm.DB {
					return tx.Where("kid = ?", row.Kid).Delete(&StoredKey{})
				})
				if err != nil {
					return err
				}
				continue
			}
			key, err := open(row, k.sealer)
			if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		k.keys.Store(&keys)
		return nil
	}
}

// Run reloads the keys at the given interval until ctx is done, to pick up the changes of other
// instances and of operators.
func (k *Keyring) Run(ctx context.Context, interval time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			bounded, cancel := context.WithTimeout(ctx, interval)
			if err := k.Reload(bounded); err != nil && ctx.Err() == nil {
				log.Error("could not reload the signing keys; keeping the ones in memory", "err", err)
			}
			cancel()
		}
	}
}

// JWKs returns the published keys, the newest first.
func (k *Keyring) JWKs() []JWK {
	var keys []JWK
	for _, key := range *k.keys.Load() {
		keys = append(keys, key.jwk)
	}
	return keys
}

// Active returns the key that signs.
func (k *Keyring) Active() *Key {
	keys := *k.keys.Load()
	is := func(key *Key) (Algorithm, time.Time) { return key.Algorithm, key.signsFrom }
	i := active(keys, is, k.config.Algorithm, k.now())
	if i < 0 {
		return nil
	}
	return keys[i]
}

// Age returns how long the active key has been signing. It is negative for a key that is published,
// but does not sign yet.
func (k *Keyring) Age() time.Duration {
	if active := k.Active(); active != nil {
		return k.now().Sub(active.signsFrom)
	}
	return 0
}

// PublicKey returns the public key with this kid, or verify.ErrInvalidToken if there is none. If
// the kid is unknown, another instance may just have made the key, so PublicKey queries the
// database, at most once a second. It returns database.ErrUnavailable if that fails.
func (k *Keyring) PublicKey(ctx context.Context, kid string) (crypto.PublicKey, error) {
	if key, ok := k.find(kid); ok {
		return key.Private.Public(), nil
	}
	if err := k.reloadOnce(ctx); errors.Is(err, database.ErrUnavailable) {
		return nil, err
	} // Run logs other errors
	if key, ok := k.find(kid); ok {
		return key.Private.Public(), nil
	}
	return nil, verify.ErrInvalidToken
}

// reloadOnce reloads the keys, unless that was tried in the last second, and returns the error of
// the latest try. Concurrent calls wait for the same reload, each as long as its context allows.
func (k *Keyring) reloadOnce(ctx context.Context) error {
	latest := k.latestLookUp(ctx)
	select {
	case <-latest.done:
		return latest.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", database.ErrUnavailable, ctx.Err())
	}
}

// latestLookUp returns the look-up that is running or was finished in the last second. If there is
// none, it starts one, which is not canceled with ctx, because other requests wait for it, too.
func (k *Keyring) latestLookUp(ctx context.Context) *lookUp {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest != nil {
		select {
		case <-k.latest.done:
			if k.now().Sub(k.latest.at).Abs() < lookUpEvery {
				return k.latest
			}
		default:
			return k.latest
		}
	}
	started := &lookUp{done: make(chan struct{})}
	k.latest = started
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpTimeout)
		defer cancel()
		started.err = k.Reload(ctx)
		started.at = k.now()
		close(started.done)
	}()
	return started
}

func (k *Keyring) find(kid string) (*Key, bool) {
	keys := *k.keys.Load()
	i := slices.IndexFunc(keys, func(key *Key) bool { return key.Kid == kid })
	if i < 0 {
		return nil, false
	}
	return keys[i], true
}

// load returns the stored keys, the newest first.
func load(ctx context.Context, db *database.DB) ([]StoredKey, error) {
	var rows []StoredKey
	if err := db.WithContext(ctx).Order("generation DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	return rows, nil
}
