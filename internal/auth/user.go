package auth

import (
	"time"

	"github.com/google/uuid"
)

// User is an account.
type User struct {
	ID           uuid.UUID `gorm:"primaryKey"`
	Name         string
	Bio          *string
	Email        string     // normalized by NormalizeEmail; unique
	PasswordHash string     // in PHC or modular crypt format; empty: the user has no password
	Generation   int64      // of the valid sessions; see the package comment
	DisabledAt   *time.Time // nil: not disabled
	LastLoginAt  *time.Time // nil: never
	CreatedAt    time.Time  `gorm:"autoCreateTime:false"`
	UpdatedAt    time.Time  `gorm:"autoUpdateTime:false"` // when the profile or the password last changed

	// EmailVerifiedAt is when the user proved to own the email, or an operator vouched for it; nil:
	// never.
	EmailVerifiedAt *time.Time
}

// HasPassword reports whether the user has a password.
func (u *User) HasPassword() bool { return u.PasswordHash != "" }

// EmailVerified reports whether the user has proved to own the email.
func (u *User) EmailVerified() bool { return u.EmailVerifiedAt != nil }
