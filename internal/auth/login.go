package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
)

// Login opens a session for whoever knows the password of the address. Errors: ErrInvalidCredentials,
// *ThrottledError, password.ErrBusy.
//
// An unknown address, a wrong password and a disabled user must be told apart by nobody: each costs one
// lookup and one hash, and each ends in the same error. The hash of an unknown address is of today's cost. A
// user who came from elsewhere has a hash of another cost until the first login, and until then the time of
// a wrong password shows it: whoever hides that would have to know the cost before the user.
//
// An attempt is paid for before anything is hashed, so that guesses at once do not outrun the limits. Whoever
// knew the password gets the price back, and so does who waited for a hash in vain.
//
// A hash that is outdated is replaced where the session is opened. Of logins at once one replaces it; the
// others find that the hash they checked is gone, and check again.
func (a *Authority) Login(ctx context.Context, address, plain string, client Client) (tokens *Tokens, err error) {
	attempt := a.attempt(audit.Login, nil, client)
	attempt.Email, _ = NormalizeAddress(address) // what is no address is not recorded: it may be a password
	reservation, err := a.reserveLogin(ctx, address, attempt)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer func() { a.settle(ctx, reservation, err) }()
	for range loginAttempts {
		user, refusal, err := a.checkPassword(ctx, address, plain)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		if user != nil {
			attempt.UserID = user.ID
		}
		if attempt.Detail = refusal; refusal != "" {
			break
		}
		session, err := newSession(user, client, a.now(), a.settings)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		rehash := ""
		if password.Outdated(user.PasswordHash) {
			if rehash, err = a.hasher.Rehash(ctx, plain); err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
		}
		opened, err := a.open(ctx, session, user, rehash, func(tx *gorm.DB) error {
			if err := audit.Record(tx, a.success(audit.Login, user, session, client)); err != nil {
				return err
			}
			if err := a.evict(tx, user, session, client); err != nil {
				return err
			}
			if err := a.remember(tx, session, user.Email); err != nil {
				return err
			}
			return reservation.Refund(tx)
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("login: %w", err)
		case opened:
			return a.issue(session, session.Counter)
		}
		attempt.Detail = "the user changed meanwhile"
	}
	if err := a.record(ctx, attempt); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return nil, fmt.Errorf("login: %w", ErrInvalidCredentials)
}

// loginAttempts is how often a login looks at a user who changes while it hashes. A hash is outdated once, so
// the second look finds one that stays; or it finds the password that a reset has set.
const loginAttempts = 2

// checkPassword is the user of the address, if there is one, and why they may not log in with the password: in
// words for the record, or empty when they may. Errors: password.ErrBusy.
func (a *Authority) checkPassword(ctx context.Context, address, plain string) (user *User, refusal string, err error) {
	user, err = a.findUser(ctx, address)
	if err != nil {
		return nil, "", err
	}
	hash := a.absent
	if user != nil {
		hash = user.PasswordHash
	}
	matches, err := a.hasher.Verify(ctx, plain, hash)
	switch {
	case err != nil:
		return nil, "", err
	case user == nil:
		return nil, "no such account", nil
	case !matches:
		return user, "wrong password", nil
	case user.DisabledAt != nil:
		return user, "the user is disabled", nil
	}
	return user, "", nil
}

// findUser is the user of an address as somebody typed it, or nil.
func (a *Authority) findUser(ctx context.Context, address string) (*User, error) {
	email, err := NormalizeAddress(address)
	if err != nil {
		email = "" // nobody's, and looked up all the same: every address costs one query
	}
	var user User
	err = a.db.WithContext(ctx).Where("email = ?", email).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	return &user, err
}

func newSession(user *User, client Client, now time.Time, settings Settings) (*Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	return &Session{
		ID: id, UserID: user.ID, Generation: user.Generation, Counter: 1,
		CreatedAt: now, RotatedAt: now,
		ExpiresAt: now.Add(settings.SessionLifetime), IdleExpiresAt: now.Add(settings.IdleLifetime),
		Address: client.Address, UserAgent: client.UserAgent,
	}, nil
}

// open stores the session if its user is still the one whose password was checked, and, unless rehash is empty,
// makes rehash the user's hash; what belongs to that, then does in the same transaction. Hashing took a while: a password reset or an operator may have been
// faster, and then nobody is logged in any more and the newer hash stays. A rehash changes nothing that its
// owner would see: neither the generation, which would end the other sessions, nor the time of the last change.
//
// A reset that commits between the insert's look at the user and its own commit is not seen by it. The
// session then is of an older generation than the user's, and dead. It cannot get between a rehash and its
// session: the rehash has locked the user's row.
func (a *Authority) open(ctx context.Context, session *Session, user *User, rehash string, then func(tx *gorm.DB) error) (bool, error) {
	var opened bool
	err := database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		opened = false
		hash := user.PasswordHash
		if rehash != "" {
			replace := tx.Exec(`
				UPDATE users SET password_hash = ?
				WHERE id = ? AND generation = ? AND password_hash = ? AND disabled_at IS NULL`,
				rehash, user.ID, user.Generation, hash)
			if replace.Error != nil {
				return replace.Error
			}
			hash = rehash // which the insert finds only if this statement has set it
		}
		insert := tx.Exec(`
			INSERT INTO sessions (id, user_id, generation, counter, created_at, rotated_at, expires_at, idle_expires_at, address, user_agent)
			SELECT ?, id, generation, ?, ?, ?, ?, ?, ?, ? FROM users
			WHERE id = ? AND generation = ? AND password_hash = ? AND disabled_at IS NULL`,
			session.ID, session.Counter, session.CreatedAt, session.RotatedAt, session.ExpiresAt, session.IdleExpiresAt,
			session.Address, session.UserAgent, user.ID, user.Generation, hash)
		opened = insert.RowsAffected == 1
		if insert.Error != nil || !opened {
			return insert.Error
		}
		return then(tx)
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) { // the user was deleted between the insert's look and its end
		return false, nil
	}
	return opened, err
}
