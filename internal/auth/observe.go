package auth

import (
	"errors"

	"github.com/sesame-auth/sesame/internal/password"
)

// Observer counts what happens, for metrics. It must be safe for concurrent use. The texts are
// constants of this package, so there are few different ones.
type Observer interface {
	// Outcome is called once for each call of an operation.
	Outcome(operation, outcome string)
	// Factor is called once for each use of a second factor or a passkey.
	Factor(factor, outcome string)
	// Stored is called with the number of users and of valid sessions, at start and every hour.
	Stored(users, sessions int64)
	// Throttled is called for each attempt that a limit refused, with the name of the limit.
	Throttled(limit string)
}

// observe counts the outcome of an operation that returned err.
func (s *Service) observe(operation string, err error) {
	s.config.Observer.Outcome(operation, outcomeOf(err))
}

// observeFactor counts a use of a factor that returned err.
func (s *Service) observeFactor(factor FactorType, err error) {
	s.config.Observer.Factor(string(factor), outcomeOf(err))
}

func outcomeOf(err error) string {
	if _, throttled := errors.AsType[*ThrottledError](err); throttled {
		return "throttled"
	}
	if _, weak := errors.AsType[*WeakPasswordError](err); weak {
		return "invalid"
	}
	if _, half := errors.AsType[*SecondFactorError](err); half {
		return "second-factor-required"
	}
	if _, old := errors.AsType[*RecentLoginError](err); old {
		return "recent-login-required"
	}
	switch {
	case err == nil:
		return "success"
	case errors.Is(err, ErrInvalidCredentials), errors.Is(err, ErrInvalidLink), errors.Is(err, ErrIncorrectPassword),
		errors.Is(err, ErrInvalidLoginToken), errors.Is(err, ErrInvalidCode), isInvalidPasskey(err),
		errors.Is(err, ErrEmailNotVerified), errors.Is(err, ErrRegistrationClosed),
		errors.Is(err, ErrInvalidAccessToken): // the session has ended meanwhile
		return "refused"
	case errors.Is(err, ErrInvalidEmail), errors.Is(err, ErrEmailTaken), errors.Is(err, ErrSameEmail),
		errors.Is(err, ErrCodeRequired), errors.Is(err, ErrFactorExists), errors.Is(err, ErrUnknownFactor),
		errors.Is(err, ErrUnknownPasskey), errors.Is(err, ErrPasskeyExists), errors.Is(err, ErrTooManyPasskeys),
		errors.Is(err, ErrLastPasskey):
		return "invalid"
	case errors.Is(err, password.ErrBusy):
		return "busy"
	default:
		return "error"
	}
}
