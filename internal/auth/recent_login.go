package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// recentLogin is how recent a login must be for an operation that could lock the owner out.
const recentLogin = 10 * time.Minute

// RecentLoginError is returned for an access token that is valid, but whose user has to prove the
// identity again (RFC 9470). Reauthenticate and every login do.
type RecentLoginError struct {
	MaxAge time.Duration // of the proof
	ACR    string        // which it must have; empty: any
}

func (e *RecentLoginError) Error() string {
	return fmt.Sprintf("a login within the last %s is required", e.MaxAge)
}

// requireRecentLogin returns *RecentLoginError unless the access token was issued after a recent
// login, with two factors if the user has a second one.
//
// The access token counts, not its session: when the owner proves the identity again, a stolen
// older token must not benefit from it. A time that is further ahead than clocks may differ is that
// of a clock that was ahead, and is not believed.
func (s *Service) requireRecentLogin(access *Access, factor *TOTPFactor) error {
	required := &RecentLoginError{MaxAge: recentLogin}
	if factor != nil {
		required.ACR = token.ACRTwoFactors
	}
	age := s.now().Sub(access.AuthTime)
	if age >= recentLogin || age < -maxAhead || factor != nil && !access.Methods.TwoFactors() {
		return required
	}
	return nil
}

// requireFactorChange checks whether a user may add or remove a factor or a passkey. It returns the
// authenticator app of the user, or nil, and ErrEmailNotVerified or *RecentLoginError.
//
// Without a verified email, somebody who registers the email of another person could prepare the
// account for when the owner starts to use it. Without a recent login, a stolen access token would
// be enough to lock the owner out.
func (s *Service) requireFactorChange(ctx context.Context, access *Access) (*TOTPFactor, error) {
	if s.config.EmailVerification != VerificationOff && !access.User.EmailVerified() {
		return nil, ErrEmailNotVerified
	}
	factor, err := secondFactor(s.db.WithContext(ctx), access.User.ID)
	if err != nil {
		return nil, err
	}
	return factor, s.requireRecentLogin(access, factor)
}

// startFactorChange is like requireFactorChange, for a change that sends an email and is limited.
// It also returns *ThrottledError. The caller calls end with the error of the change: one that
// failed does not count.
func (s *Service) startFactorChange(
	ctx context.Context, access *Access, event audit.Event,
) (factor *TOTPFactor, end func(error), err error) {
	if factor, err = s.requireFactorChange(ctx, access); err != nil {
		return nil, nil, err
	}
	reservation, err := s.reserve(ctx, event,
		throttle.Charge{Limit: factorChangesPerAccount, Subject: access.User.ID.String()})
	if err != nil {
		return nil, nil, err
	}
	return factor, func(err error) {
		if err != nil {
			_ = s.db.Transaction(ctx, reservation.Refund) // best effort
		}
		reservation.End()
	}, nil
}

// confirmIdentity checks the password of the user of an access token, like confirmPassword, before
// an operation that could lock the owner out. If the user has a second factor or no password, it
// also requires a recent login, and returns *RecentLoginError. The password of a user without one
// is not checked.
func (s *Service) confirmIdentity(
	ctx context.Context, access *Access, plain string, event audit.Event,
) (*throttle.Reservation, error) {
	factor, err := secondFactor(s.db.WithContext(ctx), access.User.ID)
	if err == nil && (factor != nil || !access.User.HasPassword()) {
		err = s.requireRecentLogin(access, factor)
	}
	if err != nil {
		return nil, err
	}
	if !access.User.HasPassword() {
		return s.throttle.Reserve(ctx) // of nothing
	}
	return s.confirmPassword(ctx, access.User, plain, event)
}
