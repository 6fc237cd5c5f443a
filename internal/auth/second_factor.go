package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/totp"
)

// TOTPFactor is the authenticator app of a user. It is a second factor once it is confirmed.
type TOTPFactor struct {
	UserID      uuid.UUID  `gorm:"primaryKey"`
	Sealed      []byte     // the totp.Secret, encrypted
	CreatedAt   time.Time  `gorm:"autoCreateTime:false"`
	ConfirmedAt *time.Time // nil: not confirmed yet
	LastStep    int64      // the time step of the last code that was used; 0: none
	Failures    int64      // wrong codes since then
}

// TableName returns the table's name.
func (TOTPFactor) TableName() string { return "totp_factors" }

// hasSecondFactor is a condition on a row of users.
const hasSecondFactor = `EXISTS (
	SELECT 1 FROM totp_factors WHERE totp_factors.user_id = users.id AND totp_factors.confirmed_at IS NOT NULL)`

// FactorType is what a code comes from.
type FactorType string

// The types of factor.
const (
	FactorTOTP         FactorType = "totp"
	FactorRecoveryCode FactorType = "recovery_code"
	FactorPasskey      FactorType = "passkey" // only in metrics: it is no second factor of a password
)

const (
	// maxFailures is how many wrong codes in a row an authenticator app survives (NIST SP 800-63B-4,
	// section 3.2.2). After that only recovery codes work.
	maxFailures = 100
	// noticeAfter is how many wrong codes in a row cause an email.
	noticeAfter = 5
)

// codeAttempt is an attempt to prove the identity with a code.
type codeAttempt struct {
	user        *User
	factor      *TOTPFactor
	code        string
	event       audit.Event // of a failure
	reservation *throttle.Reservation
}

// startCode counts an attempt with a code of a user: against the rate limits, and as a wrong code
// until use proves the opposite. So parallel guesses cannot exceed the limits. It returns
// *ThrottledError, or ErrInvalidCode if the user has no second factor. The caller must settle the
// reservation.
func (s *Service) startCode(ctx context.Context, user *User, code string, event audit.Event) (*codeAttempt, error) {
	reservation, err := s.reserveCode(ctx, user, event)
	if err != nil {
		return nil, err
	}
	var factor TOTPFactor
	err = s.db.Statement(ctx, func(db *gorm.DB) error {
		factor = TOTPFactor{}
		update := db.Model(&factor).Clauses(clause.Returning{}).
			Where("user_id = ? AND confirmed_at IS NOT NULL", user.ID).
			UpdateColumn("failures", gorm.Expr("failures + 1"))
		if update.Error == nil && update.RowsAffected == 0 {
			return ErrInvalidCode // it was removed meanwhile
		}
		return update.Error
	})
	if err != nil {
		reservation.End()
		return nil, err
	}
	return &codeAttempt{user: user, factor: &factor, code: code, event: event, reservation: reservation}, nil
}

// reserveCode charges an attempt with a code to its limits. A known network of the user has a
// budget of its own, so a stranger who knows the password cannot lock the owner out there.
func (s *Service) reserveCode(ctx context.Context, user *User, event audit.Event) (*throttle.Reservation, error) {
	known, err := s.knownUser(ctx, user.Email, event.IP)
	if err != nil {
		return nil, err
	}
	charge := throttle.Charge{Limit: codesPerAccount, Subject: user.ID.String()}
	if known != nil {
		charge = throttle.Charge{
			Limit: codesPerKnownNetwork, Subject: string(s.networkPseudonym(user.Email, event.IP)),
		}
	}
	return s.reserve(ctx, event, charge)
}

// isTOTP reports whether a code looks like one of an authenticator app, and returns it without the
// spaces that apps show.
func isTOTP(code string) (string, bool) {
	code = strings.NewReplacer(" ", "", "-", "").Replace(code)
	digits := !strings.ContainsFunc(code, func(r rune) bool { return r < '0' || r > '9' })
	return code, digits && len(code) == totp.Digits
}

// factorOf returns what a code comes from.
func factorOf(code string) FactorType {
	if _, ok := isTOTP(code); ok {
		return FactorTOTP
	}
	return FactorRecoveryCode
}

// methods returns how the code proves the identity, in addition to a password.
func (a *codeAttempt) methods() token.Methods {
	if factorOf(a.code) == FactorTOTP {
		return token.ByTOTP
	}
	return token.ByRecoveryCode
}

// useCode uses up the code of an attempt, in the caller's transaction, and refunds the attempt. It
// returns ErrInvalidCode if the code is wrong or was used before; of several transactions with the
// same code, one succeeds (RFC 6238, section 5.2).
func (s *Service) useCode(tx *gorm.DB, a *codeAttempt) error {
	use := s.useTOTP
	if factorOf(a.code) == FactorRecoveryCode {
		use = s.useRecoveryCode
	}
	if err := use(tx, a); err != nil {
		return err
	}
	return a.reservation.Refund(tx)
}

func (s *Service) useTOTP(tx *gorm.DB, a *codeAttempt) error {
	if a.factor.Failures > maxFailures {
		return ErrInvalidCode
	}
	secret, outdated, err := s.openTOTP(a.factor)
	if err != nil {
		return err
	}
	code, _ := isTOTP(a.code)
	step, ok := secret.Match(code, s.clock(), a.factor.LastStep)
	if !ok {
		return ErrInvalidCode
	}
	changes := map[string]any{"last_step": step, "failures": 0}
	if outdated {
		changes["sealed"] = s.sealTOTP(secret, a.user.ID)
	}
	// created_at is that of the same app, also if a purge has encrypted its secret again meanwhile.
	update := tx.Model(&TOTPFactor{}).
		Where("user_id = ? AND created_at = ? AND last_step = ? AND confirmed_at IS NOT NULL",
			a.user.ID, a.factor.CreatedAt, a.factor.LastStep).
		UpdateColumns(changes)
	if update.Error == nil && update.RowsAffected == 0 {
		return ErrInvalidCode // it was used meanwhile
	}
	return update.Error
}

// refuseCode records a wrong code, and emails the owner if there were several: somebody knows the
// password. It returns ErrInvalidCode.
func (s *Service) refuseCode(ctx context.Context, a *codeAttempt) error {
	a.event.Detail = "wrong code"
	if a.factor.Failures > maxFailures {
		a.event.Detail = fmt.Sprintf("only recovery codes work, after %d wrong codes", maxFailures)
	}
	if err := s.record(ctx, a.event); err != nil {
		return err
	}
	if a.factor.Failures%noticeAfter == 0 {
		notify, err := s.allowsNotice(ctx, a.event, wrongCodesEmail, a.user.Email)
		if err != nil || !notify {
			return errors.Join(err, ErrInvalidCode)
		}
		err = s.db.Transaction(ctx, func(tx *gorm.DB) error { return s.enqueueNotice(tx, wrongCodesEmail, a.user) })
		if err != nil {
			return err
		}
		s.config.Outbox.Wake()
	}
	return ErrInvalidCode
}

// clearFailures makes the authenticator app of a user work again after too many wrong codes.
func clearFailures(tx *gorm.DB, user uuid.UUID) error {
	return tx.Model(&TOTPFactor{}).Where("user_id = ? AND failures > 0", user).UpdateColumn("failures", 0).Error
}

// secondFactor returns the confirmed authenticator app of a user, or nil.
func secondFactor(db *gorm.DB, user uuid.UUID) (*TOTPFactor, error) {
	return found[TOTPFactor](db.Where("user_id = ? AND confirmed_at IS NOT NULL", user))
}

// sealTOTP encrypts a secret. It can only be decrypted as that of the same user.
func (s *Service) sealTOTP(secret totp.Secret, user uuid.UUID) []byte {
	return s.config.TOTPSealer.Seal(secret, user.String())
}

// openTOTP decrypts the secret of a factor, and reports whether it is sealed under a previous
// secret of the installation.
func (s *Service) openTOTP(factor *TOTPFactor) (secret totp.Secret, outdated bool, err error) {
	plain, outdated, err := s.config.TOTPSealer.Open(factor.Sealed, factor.UserID.String())
	if err != nil {
		return nil, false, fmt.Errorf("the TOTP secret of user %s: %w", factor.UserID, err)
	}
	return plain, outdated, nil
}
