package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/totp"
)

// EnrollTOTP returns a new secret for an authenticator app, and its otpauth URI. Nothing changes
// until ConfirmTOTP. A newer secret replaces one that is not confirmed. It returns
// ErrEmailNotVerified, *RecentLoginError, ErrFactorExists, or ErrInvalidAccessToken if the session
// has ended meanwhile.
func (s *Service) EnrollTOTP(
	ctx context.Context, access *Access,
) (secret totp.Secret, uri string, err error) {
	defer func() { s.observe("enroll-totp", err) }()
	user := access.User
	factor, err := s.requireFactorChange(ctx, access)
	if err == nil && factor != nil {
		err = ErrFactorExists
	}
	if err != nil {
		return nil, "", fmt.Errorf("enroll TOTP: %w", err)
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		secret, err = s.enrollTOTP(tx, user)
		if err != nil {
			return err
		}
		return holdGeneration(tx, user)
	})
	if err != nil {
		return nil, "", fmt.Errorf("enroll TOTP: %w", err)
	}
	return secret, s.totpURI(secret, user), nil
}

// enrollTOTP stores a new secret that is not confirmed. It returns ErrFactorExists if the user has
// a confirmed one, also if that was confirmed meanwhile.
func (s *Service) enrollTOTP(tx *gorm.DB, user *User) (totp.Secret, error) {
	secret := totp.NewSecret()
	insert := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}},
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("totp_factors.confirmed_at IS NULL")}},
		DoUpdates: clause.AssignmentColumns([]string{"sealed", "created_at", "last_step", "failures"}),
	}).Create(&TOTPFactor{UserID: user.ID, Sealed: s.sealTOTP(secret, user.ID), CreatedAt: s.now()})
	if errors.Is(insert.Error, gorm.ErrForeignKeyViolated) {
		return nil, ErrInvalidAccessToken // the user was deleted meanwhile
	}
	if insert.Error == nil && insert.RowsAffected == 0 {
		return nil, ErrFactorExists
	}
	return secret, insert.Error
}

// totpURI returns the URI for the QR code of a secret.
func (s *Service) totpURI(secret totp.Secret, user *User) string {
	return secret.URI(s.config.Brand.Name, user.Email)
}
