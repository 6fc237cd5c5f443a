package auth

import (
	"context"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// confirmPassword checks the password of a user who has shown an access token or an emailed token.
// The attempt counts against the limits of logins: otherwise a stolen token would be a way around
// them. It returns ErrIncorrectPassword, *ThrottledError or password.ErrBusy.
//
// The caller refunds the reservation when the operation succeeds, and settles it.
func (s *Service) confirmPassword(
	ctx context.Context, user *User, plain string, event audit.Event,
) (*throttle.Reservation, error) {
	reservation, known, err := s.reserveLogin(ctx, user.Email, event)
	if err != nil {
		return nil, err
	}
	if known != nil {
		ctx = password.Preferred(ctx, string(s.networkPseudonym(user.Email, event.IP)))
	}
	hash := user.PasswordHash
	if !user.HasPassword() {
		hash = s.dummyHash // no password matches
	}
	matches, err := s.config.Hasher.Verify(ctx, plain, hash)
	if err == nil && !matches {
		event.Detail = "wrong password"
		err = s.record(ctx, event)
		if err == nil {
			err = ErrIncorrectPassword
		}
	}
	if err != nil {
		s.settle(ctx, reservation, err)
		return nil, err
	}
	return reservation, nil
}
