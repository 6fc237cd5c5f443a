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
)

// The maximum lengths of a profile, in code points, as in the OpenAPI document.
const (
	MaxNameLength = 100
	MaxBioLength  = 500
)

// NewUser describes an account that an operator creates.
type NewUser struct {
	Name     string
	Bio      *string
	Email    string
	Password *string // nil: the user cannot log in before resetting the password
}

// CreateUser creates an account for an operator. The password must satisfy the same policy as in
// Register.
//
// It returns ErrInvalidEmail, ErrEmailTaken, ErrInvalidName, ErrInvalidBio, *WeakPasswordError or
// password.ErrBusy.
func (s *Service) CreateUser(ctx context.Context, account NewUser) (*User, error) {
	email, err := NormalizeEmail(account.Email)
	if err != nil {
		return nil, err
	}
	if err := checkProfile(account.Name, account.Bio); err != nil {
		return nil, err
	}
	hash := s.dummyHash
	if account.Password != nil {
		accepted, err := s.acceptPassword(*account.Password, account.Name, email)
		if err != nil {
			return nil, err
		}
		if hash, err = s.config.Hasher.Hash(ctx, accepted); err != nil {
			return nil, fmt.Errorf("create user: %w", err)
		}
	}
	user := User{Name: account.Name, Bio: account.Bio, Email: email, PasswordHash: hash}
	created, err := s.insertUser(ctx, user, audit.CreateUser, Client{})
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return created, nil
}

// checkProfile checks a profile that was not validated against the OpenAPI document. It returns
// ErrInvalidName or ErrInvalidBio.
func checkProfile(name string, bio *string) error {
	if length := utf8.RuneCountInString(name); length < 1 || length > MaxNameLength || !isStorable(name) {
		return ErrInvalidName
	}
	if bio != nil && (utf8.RuneCountInString(*bio) > MaxBioLength || !isStorable(*bio)) {
		return ErrInvalidBio
	}
	return nil
}

// isStorable reports whether both engines can store text.
func isStorable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// insertUser stores a new account, after filling in its id and times. It returns ErrEmailTaken if
// the email has an account: the unique index decides, so exactly one of several concurrent
// registrations succeeds.
func (s *Service) insertUser(ctx context.Context, user User, kind audit.Kind, client Client) (*User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.now()
	user.ID, user.Generation, user.CreatedAt, user.UpdatedAt = id, 1, now, now
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&user).Error; err != nil {
			return err
		}
		return audit.Record(tx, s.success(kind, &user, client))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, ErrEmailTaken
	}
	return &user, err
}
