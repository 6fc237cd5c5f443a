package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// UndoEmailChange restores the email that a token was sent to, for an owner whose account was taken
// over. It returns ErrInvalidLink, or *ThrottledError if the network sent too many invalid tokens.
//
// It undoes this change and all later ones, ends every session, makes every other token of the user
// invalid, and removes the password, and the factors and passkeys that were added since the change.
// The restored email gets a link to set a new password. Previous emails from before this change
// stay: if this one belongs to an attacker, the owner can still restore an older one.
func (s *Service) UndoEmailChange(ctx context.Context, token string, client Client) (err error) {
	defer func() { s.observe("undo-email-change", err) }()
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		previous, err := findPreviousEmail(tx, token, now)
		if err != nil {
			return err
		}
		// Locked, so that changes that somebody else makes at the same time cannot refuse this one.
		user, err := userByID(tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}), previous.UserID)
		if errors.Is(err, ErrUnknownUser) {
			return ErrInvalidLink
		}
		if err != nil {
			return err
		}
		used := tx.Where("user_id = ? AND email = ? AND digest = ?", previous.UserID, previous.Email, previous.Digest).
			Delete(&PreviousEmail{})
		if used.Error == nil && used.RowsAffected == 0 {
			return ErrInvalidLink // used meanwhile
		}
		if used.Error != nil {
			return used.Error
		}
		return s.restoreEmail(tx, user, previous, client)
	})
	switch {
	case errors.Is(err, ErrInvalidLink):
		err = s.recordInvalidLink(ctx, s.failure(audit.UndoEmailChange, nil, client), err)
	case errors.Is(err, gorm.ErrDuplicatedKey): // not expected, because the email counts as taken
		err = ErrInvalidLink
	}
	if err != nil {
		return fmt.Errorf("undo email change: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// restoreEmail gives a user a previous email again.
func (s *Service) restoreEmail(tx *gorm.DB, user *User, previous *PreviousEmail, client Client) error {
	now := s.now()
	if err := s.replaceEmail(tx, user, previous.Email, &now, now); err != nil {
		return err
	}
	later := tx.Where("user_id = ? AND position > ?", user.ID, previous.Position).Delete(&PreviousEmail{})
	if later.Error != nil {
		return later.Error
	}
	err := tx.Model(&User{}).Where("id = ?", user.ID).
		Updates(map[string]any{"password_hash": "", "generation": gorm.Expr("generation + 1")}).Error
	if err != nil {
		return err
	}
	if _, err := removeFactors(tx, user.ID, previous.ChangedAt); err != nil {
		return err
	}
	if user.Email != previous.Email {
		if err := s.enqueueNotice(tx, emailChangedForGoodEmail, user); err != nil {
			return err
		}
	}
	restored := *user
	restored.Email = previous.Email
	if err := s.clearLimits(tx, &restored); err != nil {
		return err
	}
	if err := s.enqueueNotice(tx, resetPasswordEmail, &restored); err != nil {
		return err
	}
	return audit.Record(tx, s.success(audit.UndoEmailChange, &restored, client))
}
