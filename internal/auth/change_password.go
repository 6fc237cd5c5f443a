package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// ChangePassword sets a new password for a user who knows the current one. It returns new tokens
// for this session, and ends all others. It returns *WeakPasswordError, ErrIncorrectPassword,
// *ThrottledError, password.ErrBusy, or ErrInvalidAccessToken if the session has ended meanwhile.
//
// One transaction replaces the password, raises the user's generation, which ends every session,
// and moves this session to the new generation. Its previous refresh token becomes the parent of
// the new one, as in RefreshTokens, so a refresh that is in flight in another tab succeeds.
func (s *Service) ChangePassword(
	ctx context.Context, access *Access, current, plain string, client Client,
) (tokens *Tokens, err error) {
	defer func() { s.observe("change-password", err) }()
	user := access.User
	event := s.failure(audit.ChangePassword, user, client)
	accepted, err := s.acceptPassword(plain, user.Name, user.Email)
	if err != nil {
		return nil, err
	}
	reservation, err := s.confirmIdentity(ctx, access, current, event)
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	change, err := s.reserve(ctx, event, throttle.Charge{Limit: passwordChangesPerAccount, Subject: user.ID.String()})
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	defer func() { s.settle(ctx, change, err) }()
	hash, err := s.config.Hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	now := s.now()
	var session *Session
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		pair := s.networkPseudonym(user.Email, client.IP)
		replaced, err := s.replacePassword(tx, user, hash, now, enabledOnly, pair)
		if err == nil && !replaced {
			err = ErrInvalidAccessToken
		}
		if err != nil {
			return err
		}
		session, err = moveSession(tx, access.Session, s.nextToken(now, client))
		if err != nil {
			return err
		}
		if err := s.rememberNetwork(tx, user, client.IP, now); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, ofSession(s.success(audit.ChangePassword, user, client), session))
	})
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	s.config.Outbox.Wake()
	return s.issueTokens(session, session.Counter, user.EmailVerified())
}

// moveSession moves a session to the generation of its user, which the transaction has just raised
// by one, with further changes. It returns ErrInvalidAccessToken if the session has ended.
func moveSession(tx *gorm.DB, id uuid.UUID, changes map[string]any) (*Session, error) {
	var session Session
	changes["generation"] = gorm.Expr("generation + 1")
	update := tx.Model(&session).Clauses(clause.Returning{}).
		Where("id = ? AND revoked_at IS NULL", id).
		Where("EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND users.generation = sessions.generation + 1)").
		Updates(changes)
	if update.Error == nil && update.RowsAffected == 0 {
		return nil, ErrInvalidAccessToken
	}
	return &session, update.Error
}
