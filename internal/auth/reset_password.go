package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// ResetPassword sets a new password for the user that a reset token was sent to. It returns
// ErrInvalidLink, *WeakPasswordError, *ThrottledError or password.ErrBusy.
//
// An invalid token is refused before anything is hashed, and a weak password before the token is
// used. Then one transaction uses the token, which only one request can do, sets the password, and
// raises the user's generation. That ends every session and every login that is still hashing the
// old password. It creates no session: the user has to log in.
//
// A reset removes everything that stands between the user and the next login: it lifts the limits
// on guessing, and the network of the reset becomes the user's only known network. A valid token is
// not subject to the limits on networks, which somebody else in the network may have used up.
//
// A token that was emailed proves that the user owns the email, and verifies it. An attacker who
// registered the email before has then lost everything: the password, the sessions, the known
// networks, the tokens, the authenticator app and the passkeys. If the email was verified before,
// the factors stay: a reset does not skip the second factor.
func (s *Service) ResetPassword(ctx context.Context, token, plain string, client Client) (err error) {
	defer func() { s.observe("reset-password", err) }()
	row, user, event, err := s.emailLink(ctx, token, PurposeResetPassword, audit.ResetPassword, client)
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
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
		used, err := useOneTimeToken(tx, token, PurposeResetPassword, now)
		if err != nil {
			return err
		}
		if !used {
			return ErrInvalidLink
		}
		pair := s.networkPseudonym(user.Email, client.IP)
		replaced, err := s.replacePassword(tx, user, hash, now, enabledOnly, pair)
		if err == nil && !replaced {
			err = ErrInvalidLink
		}
		if err != nil {
			return err
		}
		if row.Email != "" {
			if err := verifyFirst(tx, user.ID, now); err != nil {
				return err
			}
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

// verifyFirst marks an email as verified. If it was not before, nobody knows who has added the
// factors of the account, and they are removed. The caller has changed, and thus locked, the user's
// row.
func verifyFirst(tx *gorm.DB, user uuid.UUID, now time.Time) error {
	verify := tx.Model(&User{}).Where("id = ? AND email_verified_at IS NULL", user).
		UpdateColumn("email_verified_at", now)
	if verify.Error != nil || verify.RowsAffected == 0 {
		return verify.Error
	}
	_, err := removeFactors(tx, user, time.Time{})
	return err
}

// recordInvalidLink records an attempt with an emailed token that failed with err, if that is
// ErrInvalidLink. It returns err, or *ThrottledError if the network made too many attempts.
func (s *Service) recordInvalidLink(ctx context.Context, event audit.Event, err error) error {
	if !errors.Is(err, ErrInvalidLink) {
		return err
	}
	reservation, throttled := s.reserve(ctx, event, throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(event.IP)...)
	if throttled != nil {
		return throttled
	}
	reservation.End()
	event.Detail = "the token is unknown, used, or expired"
	return cmp.Or(s.record(ctx, event), err)
}
