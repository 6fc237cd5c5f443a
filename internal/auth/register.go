package auth

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// Registration describes a new account.
type Registration struct {
	Name     string
	Bio      *string
	Email    string
	Password string
}

// Register creates an account. It returns ErrInvalidEmail, ErrEmailTaken, *WeakPasswordError,
// *ThrottledError or password.ErrBusy. Each registration counts against the network's limit on
// passwords. It is refunded only if the password was never hashed.
func (s *Service) Register(ctx context.Context, registration Registration, client Client) (user *User, err error) {
	email, err := NormalizeEmail(registration.Email)
	if err != nil {
		return nil, err
	}
	accepted, err := s.acceptPassword(registration.Password, registration.Name, email)
	if err != nil {
		return nil, err
	}
	event := s.failure(audit.Register, nil, client)
	event.Email = email
	charge := throttle.Charge{Limit: passwordsPerNetwork, Subject: throttle.Network(client.IP)}
	reservation, err := s.reserve(ctx, event, charge)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	hash, err := s.config.Hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	account := User{Name: registration.Name, Bio: registration.Bio, Email: email, PasswordHash: hash}
	user, err = s.insertUser(ctx, account, audit.Register, client)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return user, nil
}
