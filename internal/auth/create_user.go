package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
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

	Unverified bool // the operator does not vouch for the email
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
	hash := ""
	if account.Password != nil {
		accepted, err := s.acceptPassword(*account.Password, account.Name, email)
		if err != nil {
			return nil, err
		}
		if hash, err = s.config.Hasher.Hash(ctx, accepted); err != nil {
			return nil, fmt.Errorf("create user: %w", err)
		}
	}
	user, err := s.newUser(User{Name: account.Name, Bio: account.Bio, Email: email, PasswordHash: hash})
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	if !account.Unverified {
		user.EmailVerifiedAt = &user.CreatedAt
	}
	err = s.db.Batch(ctx, func(tx *gorm.DB) error {
		if err := insertUser(tx, user); err != nil {
			return err
		}
		if err := requireUser(tx, user); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.CreateUser, user, Client{}))
	})
	if errors.Is(err, database.ErrRequired) {
		err = ErrEmailTaken
	}
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return user, nil
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

// newUser fills in the id, the generation and the times of a new account.
func (s *Service) newUser(user User) (*User, error) {
	id, err := uuid.NewV7()
	now := s.now()
	user.ID, user.Generation, user.CreatedAt, user.UpdatedAt = id, 1, now, now
	return &user, err
}

// insertUser stores a new account, unless its email is taken. The unique index decides, so exactly
// one of several concurrent registrations succeeds.
//
// It looks for previous emails after the insert: if a change of the email makes it free meanwhile,
// that change has committed then.
func insertUser(tx *gorm.DB, user *User) error {
	insert := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoNothing: true}).Create(user)
	if insert.Error != nil {
		return insert.Error
	}
	previous := validPreviousEmails(tx, user.CreatedAt).Where("email = ? AND user_id <> ?", user.Email, user.ID)
	return tx.Where("id = ? AND EXISTS (?)", user.ID, previous.Select("1")).Delete(&User{}).Error
}

// requireUser makes a batch fail with database.ErrRequired unless insertUser has stored the
// account.
func requireUser(tx *gorm.DB, user *User) error {
	return database.Require(tx, "EXISTS (SELECT 1 FROM users WHERE id = ?)", user.ID)
}
