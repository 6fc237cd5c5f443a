package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// ResetPassword sets a new password for the bearer of a mailed token. Errors: ErrInvalidReset,
// *WeakPasswordError, *ThrottledError, password.ErrBusy.
//
// A token that is not good is refused before anything is hashed, a password that is not good before the
// token is used. Then one transaction takes the token away, which only one request can do, sets the
// password, and raises the user's generation, which ends every session there is and every login still
// hashing the old password. It opens no session: who reads the mail still has to log in.
func (a *Authority) ResetPassword(ctx context.Context, resetToken, plain string, client Client) (err error) {
	attempt := a.attempt(audit.ResetPassword, nil, client)
	reservation, err := a.reserve(ctx, attempt, throttle.Charge{Limit: passwordsOfNetwork, Subject: throttle.Network(client.Address)})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	defer func() { a.settle(ctx, reservation, err) }()
	user, err := a.resettable(ctx, resetToken)
	if errors.Is(err, ErrInvalidReset) {
		attempt.Detail = "the token is not known, used, or expired"
		err = cmp.Or(a.record(ctx, attempt), err)
	}
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	accepted, err := password.Accept(plain, user.Name, user.Email, a.settings.Product)
	if err != nil {
		return &WeakPasswordError{Reason: err}
	}
	hash, err := a.hasher.Hash(ctx, accepted)
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		used, err := useOneTimeToken(tx, resetToken, PurposeResetPassword, now)
		if err != nil {
			return err
		}
		if !used {
			return ErrInvalidReset
		}
		replaced, err := a.replacePassword(tx, user, gorm.Expr("disabled_at IS NULL"), hash, now)
		if err == nil && !replaced {
			err = ErrInvalidReset
		}
		if err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.ResetPassword, user, nil, client))
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	a.outbox.Wake()
	return nil
}

// resettable is the user a good reset token belongs to. It decides nothing: useOneTimeToken does.
func (a *Authority) resettable(ctx context.Context, resetToken string) (*User, error) {
	var user User
	err := a.db.WithContext(ctx).
		Joins("JOIN one_time_tokens ON one_time_tokens.user_id = users.id").
		Where("one_time_tokens.digest = ? AND one_time_tokens.purpose = ?", token.OneTimeDigest(resetToken), PurposeResetPassword).
		Where("one_time_tokens.expires_at > ? AND users.disabled_at IS NULL", a.now()).
		Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrInvalidReset
	}
	return &user, err
}

// composePasswordChanged tells the owner, who may not have been the one who changed it (ASVS 6.3.7).
func (a *Authority) composePasswordChanged(ctx context.Context, address string) (*mail.Message, error) {
	user, err := a.findUser(ctx, address)
	if err != nil || user == nil {
		return nil, err
	}
	letter, err := mail.PasswordChanged(mail.PasswordChangedData{To: user.Email, Name: user.Name, When: user.UpdatedAt, Product: a.settings.Product})
	return &letter, err
}
