package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
)

// The most of what a user tells, in code points; the least of a name is one. The contract has the same.
const (
	MaxName = 100
	MaxBio  = 500
)

// NewUser is an account that an operator makes.
type NewUser struct {
	Name     string
	Bio      *string
	Email    string
	Password *string // nil: nobody can log in until the password was reset
}

// CreateUser makes an account on an operator's word. Its password is held to the policy of Register. Errors:
// ErrAddress, ErrAddressTaken, ErrName, ErrBio, *WeakPasswordError, password.ErrBusy.
func (a *Authority) CreateUser(ctx context.Context, account NewUser) (*User, error) {
	email, err := NormalizeAddress(account.Email)
	if err != nil {
		return nil, err
	}
	if err := checkProfile(account.Name, account.Bio); err != nil {
		return nil, err
	}
	hash := a.absent
	if account.Password != nil {
		accepted, err := password.Accept(*account.Password, account.Name, email, a.settings.Product)
		if err != nil {
			return nil, &WeakPasswordError{Reason: err}
		}
		if hash, err = a.hasher.Hash(ctx, accepted); err != nil {
			return nil, fmt.Errorf("create user: %w", err)
		}
	}
	user, err := a.insertUser(ctx, User{Name: account.Name, Bio: account.Bio, Email: email, PasswordHash: hash}, audit.CreateUser, Client{})
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return user, nil
}

// checkProfile holds what did not come by the contract against what the contract asks. Errors: ErrName, ErrBio.
func checkProfile(name string, bio *string) error {
	if length := utf8.RuneCountInString(name); length < 1 || length > MaxName || !isText(name) {
		return ErrName
	}
	if bio != nil && (utf8.RuneCountInString(*bio) > MaxBio || !isText(*bio)) {
		return ErrBio
	}
	return nil
}

// isText tells whether both engines store text, and alike.
func isText(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// insertUser stores a new account, whose id and times it fills in. Errors: ErrAddressTaken.
//
// Whether the address is free is not asked beforehand: the unique index answers, and of many registrations at
// once exactly one succeeds.
func (a *Authority) insertUser(ctx context.Context, user User, kind audit.Kind, client Client) (*User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := a.now()
	user.ID, user.Generation, user.CreatedAt, user.UpdatedAt = id, 1, now, now
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		if err := tx.Create(&user).Error; err != nil {
			return err
		}
		return audit.Record(tx, a.success(kind, &user, nil, client))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, ErrAddressTaken
	}
	return &user, err
}
