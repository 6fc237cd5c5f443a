package auth

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// Registration is what a new user tells.
type Registration struct {
	Name     string
	Bio      *string
	Email    string
	Password string
}

// Register makes an account. Errors: ErrAddress, ErrAddressTaken, *WeakPasswordError, *ThrottledError,
// password.ErrBusy. Each costs its network one of the attempts that all doors with a password share.
func (a *Authority) Register(ctx context.Context, registration Registration, client Client) (user *User, err error) {
	email, err := NormalizeAddress(registration.Email)
	if err != nil {
		return nil, err
	}
	accepted, err := password.Accept(registration.Password, registration.Name, email, a.settings.Product)
	if err != nil {
		return nil, &WeakPasswordError{Reason: err}
	}
	attempt := a.attempt(audit.Register, nil, client)
	attempt.Email = email
	reservation, err := a.reserve(ctx, attempt, throttle.Charge{Limit: passwordsOfNetwork, Subject: throttle.Network(client.Address)})
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	defer func() { a.settle(ctx, reservation, err) }() // kept, also by those who succeed: each makes an account
	hash, err := a.hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	account := User{Name: registration.Name, Bio: registration.Bio, Email: email, PasswordHash: hash}
	user, err = a.insertUser(ctx, account, audit.Register, client)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return user, nil
}
