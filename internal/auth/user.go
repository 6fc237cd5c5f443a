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
	Email        string     // normalised by NormalizeAddress; unique
	PasswordHash string     // a PHC string
	Generation   int64      // of the sessions that are valid; see the package's comment
	DisabledAt   *time.Time // nil: not disabled
	CreatedAt    time.Time  `gorm:"autoCreateTime:false"`
	UpdatedAt    time.Time  `gorm:"autoUpdateTime:false"` // when what the owner tells, the password included, last changed
}
