package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
)

// Login opens a session for whoever knows the password of the address. Errors: ErrInvalidCredentials,
// *ThrottledError.
//
// An unknown address, a wrong password and a disabled user must be told apart by nobody: each costs one
// lookup and one hash, and each ends in the same error.
//
// An attempt is paid for before anything is hashed, so that guesses at once do not outrun the limits. Whoever
// knew the password gets the price back.
func (a *Authority) Login(ctx context.Context, address, plain string, client Client) (*Tokens, error) {
	user, err := a.findUser(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	reservation, err := a.reserveLogin(ctx, address, user, client)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer reservation.Keep()
	hash := a.absent
	if user != nil {
		hash = user.PasswordHash
	}
	matches, err := password.Verify(plain, hash)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if user == nil || !matches || user.DisabledAt != nil {
		return nil, ErrInvalidCredentials
	}
	session, err := newSession(user, client, a.now(), a.settings)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	opened, err := a.open(ctx, session, user)
	switch {
	case err != nil:
		return nil, fmt.Errorf("login: %w", err)
	case !opened:
		return nil, ErrInvalidCredentials
	}
	if err := reservation.Refund(ctx); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return a.issue(session, session.Counter)
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

// open stores the session if its user is still the one whose password was checked. Hashing took a while: a
// password reset or an operator may have been faster, and then nobody is logged in any more.
//
// A reset that commits between this statement's look at the user and its own commit is not seen by it. The
// session then is of an older generation than the user's, and dead.
func (a *Authority) open(ctx context.Context, session *Session, user *User) (bool, error) {
	var opened bool
	err := database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		insert := tx.Exec(`
			INSERT INTO sessions (id, user_id, generation, counter, created_at, rotated_at, expires_at, idle_expires_at, address, user_agent)
			SELECT ?, id, generation, ?, ?, ?, ?, ?, ?, ? FROM users
			WHERE id = ? AND generation = ? AND password_hash = ? AND disabled_at IS NULL`,
			session.ID, session.Counter, session.CreatedAt, session.RotatedAt, session.ExpiresAt, session.IdleExpiresAt,
			session.Address, session.UserAgent, user.ID, user.Generation, user.PasswordHash)
		opened = insert.RowsAffected == 1
		if insert.Error != nil || !opened {
			return insert.Error
		}
		return a.remember(tx, session)
	})
	return opened, err
}
