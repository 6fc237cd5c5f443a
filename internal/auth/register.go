package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
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
// password.ErrBusy.
//
// Whether the address is free is not asked beforehand: the unique index answers, and of many registrations
// at once exactly one succeeds. Each costs its network one of the attempts that all doors with a password share.
func (a *Authority) Register(ctx context.Context, registration Registration, client Client) (*User, error) {
	email, err := NormalizeAddress(registration.Email)
	if err != nil {
		return nil, err
	}
	accepted, err := password.Accept(registration.Password, registration.Name, email)
	if err != nil {
		return nil, &WeakPasswordError{Reason: err}
	}
	attempt := a.attempt(audit.Register, nil, client)
	attempt.Email = email
	reservation, err := a.reserve(ctx, attempt, throttle.Charge{Limit: passwordsOfNetwork, Subject: throttle.Network(client.Address)})
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	reservation.End() // kept, also by those who succeed: each makes an account
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	hash, err := a.hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	now := a.now()
	user := User{
		ID: id, Name: registration.Name, Bio: registration.Bio, Email: email,
		PasswordHash: hash, Generation: 1, CreatedAt: now, UpdatedAt: now,
	}
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		if err := tx.Create(&user).Error; err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.Register, &user, nil, client))
	})
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return nil, ErrAddressTaken
	case err != nil:
		return nil, fmt.Errorf("register: %w", err)
	}
	return &user, nil
}
