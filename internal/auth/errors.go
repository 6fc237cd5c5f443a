package auth

import (
	"errors"
	"fmt"

	"github.com/sesame-auth/sesame/internal/throttle"
)

// What an operation may refuse. None tells more than the person at the other end may know. Any other error
// is a fault of the server; database.ErrUnavailable among them passes by itself.
var (
	ErrAddressTaken       = errors.New("address has an account")
	ErrInvalidCredentials = errors.New("address or password not accepted")
	ErrInvalidAccess      = errors.New("access token not accepted")
	ErrInvalidRefresh     = errors.New("refresh token not accepted")
	ErrForeignRefresh     = errors.New("refresh token was not issued here")
	ErrInvalidReset       = errors.New("reset token not accepted")
)

// What an operator may be refused.
var (
	ErrUnknownUser  = errors.New("there is no such user")
	ErrUserDisabled = errors.New("the user is disabled")
	ErrName         = fmt.Errorf("a name has 1 to %d characters, none of them NUL", MaxName)
	ErrBio          = fmt.Errorf("a bio has at most %d characters, none of them NUL", MaxBio)
	ErrIDTaken      = errors.New("the id and the address are not of one account")
)

// ThrottledError says that there were too many attempts, and for how long to make none. What was submitted has
// not been looked at.
type ThrottledError = throttle.ThrottledError

// WeakPasswordError says why a new password was refused, in words for the person who chose it.
type WeakPasswordError struct{ Reason error }

func (e *WeakPasswordError) Error() string { return "weak password: " + e.Reason.Error() }

// Unwrap is the reason, an error of package password.
func (e *WeakPasswordError) Unwrap() error { return e.Reason }
