package auth

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/token"
)

// OneTimeToken is the one token that a user may have for a purpose. The primary key is user and
// purpose, so a newer token replaces the older one. Using a token deletes the row.
type OneTimeToken struct {
	UserID    uuid.UUID `gorm:"primaryKey"`
	Purpose   Purpose   `gorm:"primaryKey"`
	Digest    []byte    // token.OneTimeDigest
	ExpiresAt time.Time
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

// Purpose is what a one-time token may be used for. A token is refused for any other purpose.
type Purpose string

// PurposeResetPassword allows setting a new password.
const PurposeResetPassword Purpose = "reset-password"

// newOneTimeToken makes a token for a user and purpose. It replaces an older one.
func newOneTimeToken(
	tx *gorm.DB, user uuid.UUID, purpose Purpose, now time.Time, lifetime time.Duration,
) (string, error) {
	text, digest := token.NewOneTime()
	row := OneTimeToken{UserID: user, Purpose: purpose, Digest: digest, ExpiresAt: now.Add(lifetime), CreatedAt: now}
	return text, tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "purpose"}},
		DoUpdates: clause.AssignmentColumns([]string{"digest", "expires_at", "created_at"}),
	}).Create(&row).Error
}

// useOneTimeToken deletes the token and reports whether it was valid. If it is called several times
// with the same token, even concurrently, only one call returns true.
func useOneTimeToken(tx *gorm.DB, text string, purpose Purpose, now time.Time) (bool, error) {
	used := validOneTimeToken(tx, text, purpose, now).Delete(&OneTimeToken{})
	return used.RowsAffected == 1, used.Error
}

// validOneTimeToken returns a query for the row of a token, if it is valid. A token that was made
// while a clock was ahead is not: it would be valid for too long.
func validOneTimeToken(tx *gorm.DB, text string, purpose Purpose, now time.Time) *gorm.DB {
	return tx.Model(&OneTimeToken{}).
		Where("digest = ? AND purpose = ?", token.OneTimeDigest(text), purpose).
		Where("expires_at > ? AND created_at <= ?", now, now.Add(maxAhead))
}

// deleteOneTimeTokens deletes a user's tokens for every purpose.
func deleteOneTimeTokens(tx *gorm.DB, user uuid.UUID) error {
	return tx.Where("user_id = ?", user).Delete(&OneTimeToken{}).Error
}
