package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// Reauthenticate checks the password of a logged-in user again and, if the user has a second
// factor, a code. It returns new tokens of the session, whose proof of the identity is recent. It
// returns ErrCodeRequired if there is no code, ErrIncorrectPassword, ErrInvalidCode,
// *ThrottledError, password.ErrBusy, or ErrInvalidAccessToken if the session has ended meanwhile.
//
// The attempt counts against the same limits as a login. The previous refresh token becomes the
// parent of the new one, as in RefreshTokens. A user without a password has to log in with a
// passkey.
func (s *Service) Reauthenticate(
	ctx context.Context, access *Access, plain, code string, client Client,
) (tokens *Tokens, err error) {
	defer func() { s.observe("reauthenticate", err) }()
	user := access.User
	event := s.failure(audit.Reauthenticate, user, client)
	event.SessionID = access.Session
	factor, err := secondFactor(s.db.WithContext(ctx), user.ID)
	if err == nil && factor != nil && code == "" {
		err = ErrCodeRequired
	}
	if err != nil {
		return nil, fmt.Errorf("reauthenticate: %w", err)
	}
	reservation, err := s.confirmPassword(ctx, user, plain, event)
	if err != nil {
		return nil, fmt.Errorf("reauthenticate: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	var attempt *codeAttempt
	methods := token.ByPassword
	if factor != nil {
		defer func() { s.observeFactor(factorOf(code), err) }()
		event.Kind = audit.SecondFactor
		if attempt, err = s.startCode(ctx, user, code, event); err != nil {
			return nil, fmt.Errorf("reauthenticate: %w", err)
		}
		defer func() { s.settle(ctx, attempt.reservation, err) }()
		methods = attempt.methods()
	}
	session, err := s.renewSession(ctx, access, attempt, methods, reservation, client)
	if errors.Is(err, ErrInvalidCode) {
		err = s.refuseCode(ctx, attempt)
	}
	if err != nil {
		return nil, fmt.Errorf("reauthenticate: %w", err)
	}
	s.config.Outbox.Wake()
	return s.issueTokens(session, session.Counter, user.EmailVerified())
}

// renewSession stores that the user of a session has just proved the identity, and uses up the code
// if there is one.
func (s *Service) renewSession(
	ctx context.Context, access *Access, attempt *codeAttempt, methods token.Methods,
	reservation *throttle.Reservation, client Client,
) (*Session, error) {
	user, now := access.User, s.now()
	var session *Session
	err := s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		if attempt != nil {
			if err := s.useCode(tx, attempt); err != nil {
				return err
			}
		}
		if session, err = s.continueSession(tx, access, now, methods, client); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		event := ofSession(s.success(audit.Reauthenticate, user, client), session)
		event.Detail = loginDetails[methods]
		return audit.Record(tx, event)
	})
	return session, err
}

// continueSession makes the next refresh token of a session whose user has proved the identity. It
// returns ErrInvalidAccessToken if the session has ended, or if the user's password, email or
// second factor has changed since the proof.
func (s *Service) continueSession(
	tx *gorm.DB, access *Access, now time.Time, methods token.Methods, client Client,
) (*Session, error) {
	var session Session
	changes := s.nextToken(now, client)
	changes["auth_time"], changes["amr"], changes["passkey_id"] = now, methods, nil
	user := access.User
	update := tx.Model(&session).Clauses(clause.Returning{}).
		Where("id = ? AND revoked_at IS NULL", access.Session).
		Where("expires_at > ? AND idle_expires_at > ?", now, now).
		Where(`EXISTS (
			SELECT 1 FROM users
			WHERE users.id = sessions.user_id AND users.generation = sessions.generation AND users.disabled_at IS NULL
				AND users.password_hash = ? AND users.email = ? AND (? OR NOT `+hasSecondFactor+`))`,
			user.PasswordHash, user.Email, methods.TwoFactors()).
		Updates(changes)
	if update.Error == nil && update.RowsAffected == 0 {
		return nil, ErrInvalidAccessToken
	}
	return &session, update.Error
}
