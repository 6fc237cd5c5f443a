package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// ResetPassword sets a new password for the user that a reset token was sent to. It returns
// ErrInvalidResetToken, *WeakPasswordError, *ThrottledError or password.ErrBusy.
//
// An invalid token is refused before anything is hashed, and a weak password before the token is
// used. Then one transaction uses the token, which only one request can do, sets the password, and
// raises the user's generation. That ends every session and every login that is still hashing the
// old password. It creates no session: the user has to log in.
//
// A reset removes everything that stands between the user and the next login: it lifts the limits
// on guessing, and the network of the reset becomes the user's only known network. A valid token is
// not subject to the limits on networks, which somebody else in the network may have used up.
func (s *Service) ResetPassword(ctx context.Context, resetToken, plain string, client Client) (err error) {
	defer func() { s.observe("reset-password", err) }()
	event := s.failure(audit.ResetPassword, nil, client)
	user, err := s.userByResetToken(ctx, resetToken)
	if errors.Is(err, ErrInvalidResetToken) {
		err = cmp.Or(s.recordInvalidToken(ctx, event), err)
	}
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	event.UserID, event.Email = user.ID, user.Email
	reservation, err := s.reserve(ctx, event, throttle.Charge{Limit: resetsPerAccount, Subject: user.ID.String()})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	accepted, err := s.acceptPassword(plain, user.Name, user.Email)
	if err != nil {
		return err
	}
	hash, err := s.config.Hasher.Hash(ctx, accepted)
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		used, err := useOneTimeToken(tx, resetToken, PurposeResetPassword, now)
		if err != nil {
			return err
		}
		if !used {
			return ErrInvalidResetToken
		}
		pair := s.networkPseudonym(user.Email, client.IP)
		replaced, err := s.replacePassword(tx, user, hash, now, enabledOnly, pair)
		if err == nil && !replaced {
			err = ErrInvalidResetToken
		}
		if err != nil {
			return err
		}
		if err := s.rememberNetwork(tx, user, client.IP, now); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.ResetPassword, user, client))
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// recordInvalidToken records an attempt with an invalid token. It returns *ThrottledError if the
// network made too many attempts.
func (s *Service) recordInvalidToken(ctx context.Context, event audit.Event) error {
	reservation, err := s.reserve(ctx, event, throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(event.IP)...)
	if err != nil {
		return err
	}
	reservation.End()
	event.Detail = "the token is unknown, used, or expired"
	return s.record(ctx, event)
}

// userByResetToken returns the user of a valid reset token. The token can become invalid meanwhile:
// useOneTimeToken decides.
func (s *Service) userByResetToken(ctx context.Context, resetToken string) (*User, error) {
	var user User
	db := s.db.WithContext(ctx)
	valid := validOneTimeToken(db, resetToken, PurposeResetPassword, s.now())
	err := db.Where("id IN (?) AND disabled_at IS NULL", valid.Select("user_id")).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrInvalidResetToken
	}
	return &user, err
}

// composePasswordChanged notifies the user, who may not be the one who changed the password (ASVS
// 6.3.7).
func (s *Service) composePasswordChanged(ctx context.Context, email string) (*mail.Message, error) {
	user, err := s.userByEmail(ctx, email)
	if err != nil || user == nil {
		return nil, err
	}
	message, err := mail.PasswordChanged(mail.PasswordChangedData{
		To: user.Email, When: user.UpdatedAt, ResetURL: s.config.ResetURL, Brand: s.config.Brand,
	})
	return &message, err
}
