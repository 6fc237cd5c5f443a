package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/totp"
)

// EnrollUserTOTP is like EnrollTOTP, for an operator. It returns ErrUnknownUser or ErrFactorExists.
func (s *Service) EnrollUserTOTP(ctx context.Context, id uuid.UUID) (secret totp.Secret, uri string, err error) {
	var user *User
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		if user, err = userByID(tx, id); err != nil {
			return err
		}
		secret, err = s.enrollTOTP(tx, user)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("enroll TOTP: %w", err)
	}
	return secret, s.totpURI(secret, user), nil
}

// ConfirmUserTOTP is like ConfirmTOTP, for an operator. It returns ErrUnknownUser,
// ErrUnknownFactor, ErrFactorExists or ErrInvalidCode.
func (s *Service) ConfirmUserTOTP(ctx context.Context, id uuid.UUID, code string) (codes []string, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		user, err := userByID(tx, id)
		if err != nil {
			return err
		}
		if codes, err = s.confirmTOTP(tx, user, code); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.AddUserTOTP, user, Client{}))
	})
	if err != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", err)
	}
	s.config.Outbox.Wake()
	return codes, nil
}
