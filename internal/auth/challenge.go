package auth

import (
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/token"
)

// UsedChallenge is a challenge that was used, until it expires.
type UsedChallenge struct {
	Digest    []byte `gorm:"primaryKey"` // token.ChallengeDigest
	ExpiresAt time.Time
}

// useChallenge stores that a challenge was used, and reports whether this is the first use. Of several
// concurrent calls, one returns true.
func useChallenge(tx *gorm.DB, challenge []byte, expires time.Time) (bool, error) {
	row := UsedChallenge{Digest: token.ChallengeDigest(challenge), ExpiresAt: expires.UTC()}
	insert := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	return insert.RowsAffected == 1, insert.Error
}
