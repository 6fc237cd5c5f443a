package auth

import (
	"errors"
	"fmt"

	"github.com/sesame-auth/sesame/internal/throttle"
)

// Errors that a client gets, besides passkey.ErrInvalid. None reveals more than the client may
// know. Any other error is an internal error, except database.ErrUnavailable, which is temporary.
var (
	ErrEmailTaken          = errors.New("the email has an account")
	ErrInvalidCredentials  = errors.New("the email or password is incorrect")
	ErrInvalidAccessToken  = errors.New("the access token is not accepted")
	ErrInvalidRefreshToken = errors.New("the refresh token is not accepted")
	ErrForeignRefreshToken = errors.New("the refresh token was not issued by this server")
	ErrInvalidLink         = errors.New("the emailed token is not accepted")
	ErrIncorrectPassword   = errors.New("the password is incorrect")
	ErrEmailNotVerified    = errors.New("the email is not verified")
	ErrRegistrationClosed  = errors.New("registration is closed")
	ErrSameEmail           = errors.New("the account has this email already")
	ErrUnknownSession      = errors.New("the user has no such session")
	ErrInvalidLoginToken   = errors.New("the login token is not accepted")
	ErrInvalidCode         = errors.New("the code is not accepted")
	ErrCodeRequired        = errors.New("a code is required")
	ErrFactorExists        = errors.New("the user has an authenticator app already")
	ErrUnknownFactor       = errors.New("the user has no such factor")
	ErrUnknownPasskey      = errors.New("the user has no such passkey")
	ErrPasskeyExists       = errors.New("the passkey is registered already")
	ErrTooManyPasskeys     = errors.New("the user has too many passkeys")
	ErrLastPasskey         = errors.New("the user has no password and no other passkey")
)

// Errors that only an operator gets.
var (
	ErrUnknownUser  = errors.New("there is no such user")
	ErrUserDisabled = errors.New("the user is disabled")
	ErrInvalidName  = fmt.Errorf("a name has 1 to %d characters, and no NUL", MaxNameLength)
	ErrInvalidBio   = fmt.Errorf("a bio has at most %d characters, and no NUL", MaxBioLength)
	ErrIDTaken      = errors.New("the id and the email belong to different accounts")
)

// ThrottledError is returned when there were too many attempts. What was submitted has not been
// checked.
type ThrottledError = throttle.ThrottledError

// WeakPasswordError is returned when a new password is refused.
type WeakPasswordError struct{ Reason error }

func (e *WeakPasswordError) Error() string { return "weak password: " + e.Reason.Error() }

// Unwrap returns the reason, an error of package password.
func (e *WeakPasswordError) Unwrap() error { return e.Reason }
