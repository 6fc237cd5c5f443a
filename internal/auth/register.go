package auth

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/internal/password"
)

// Registration is what a new user tells.
type Registration struct {
	Name     string
	Bio      *string
	Email    string
	Password string
}

// Register makes an account. Errors: ErrAddress, ErrAddressTaken, *WeakPasswordError, password.ErrBusy.
func (a *Authority) Register(ctx context.Context, registration Registration) (*User, error) {
	email, err := NormalizeAddress(registration.Email)
	if err != nil {
		return nil, err
	}
	accepted, err := password.Accept(registration.Password, registration.Name, email)
	if err != nil {
		return nil, &WeakPasswordError{Reason: err}
	}
	hash, err := a.hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	user, err := a.insertUser(ctx, User{Name: registration.Name, Bio: registration.Bio, Email: email, PasswordHash: hash})
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return user, nil
}
