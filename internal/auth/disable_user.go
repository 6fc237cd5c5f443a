package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DisableUser locks a user out until EnableUser. It reports whether that changed anything, and
// returns ErrUnknownUser if there is no such user.
//
// One statement marks the user as disabled and raises the generation. The mark refuses the user
// from then on. The new generation ends every session for good, including one that a login is just
// creating: none becomes valid again when the user is enabled. Older reset links become invalid,
// too.
func (s *Service) DisableUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		changed, err = s.disable(tx, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("disable user: %w", err)
	}
	return changed, nil
}

func (s *Service) disable(tx *gorm.DB, id uuid.UUID) (changed bool, err error) {
	if err := deleteOneTimeTokens(tx, id); err != nil { // before the user's row is locked, as in a reset
		return false, err
	}
	update := tx.Model(&User{}).Where("id = ? AND disabled_at IS NULL", id).
		Updates(map[string]any{"disabled_at": s.now(), "generation": gorm.Expr("generation + 1")})
	return s.recordChange(tx, update, id, audit.DisableUser)
}

// EnableUser lets a disabled user log in again. It reports whether that changed anything, and
// returns ErrUnknownUser if there is no such user.
func (s *Service) EnableUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&User{}).Where("id = ? AND disabled_at IS NOT NULL", id).
			Updates(map[string]any{"disabled_at": nil})
		changed, err = s.recordChange(tx, update, id, audit.EnableUser)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("enable user: %w", err)
	}
	return changed, nil
}

// recordChange records an event if an update changed the user, and reports whether it did. It
// returns ErrUnknownUser if there is no such user.
func (s *Service) recordChange(tx, update *gorm.DB, id uuid.UUID, kind audit.Kind) (changed bool, err error) {
	if update.Error != nil {
		return false, update.Error
	}
	user, err := userByID(tx, id)
	if err != nil || update.RowsAffected == 0 {
		return false, err
	}
	return true, audit.Record(tx, s.success(kind, user, Client{}))
}
