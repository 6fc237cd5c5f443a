package auth

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/token"
)

// OneTimeToken is the one token of a purpose that a user may have outstanding. The key being user and
// purpose, a newer token takes the older one's place and so voids it; using a token deletes the row.
type OneTimeToken struct {
	UserID    uuid.UUID `gorm:"primaryKey"`
	Purpose   Purpose   `gorm:"primaryKey"`
	Digest    []byte    // token.OneTimeDigest
	ExpiresAt time.Time
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

// Purpose is what a one-time token is good for. A token of one purpose is worth nothing for another.
type Purpose string

// PurposeResetPassword lets its bearer set a new password.
const PurposeResetPassword Purpose = "reset-password"

// newOneTimeToken makes the user's token of purpose and voids an older one.
func newOneTimeToken(tx *gorm.DB, user uuid.UUID, purpose Purpose, now time.Time, lifetime time.Duration) (string, error) {
	text, digest := token.NewOneTime()
	row := OneTimeToken{UserID: user, Purpose: purpose, Digest: digest, ExpiresAt: now.Add(lifetime), CreatedAt: now}
	return text, tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "purpose"}},
		DoUpdates: clause.AssignmentColumns([]string{"digest", "expires_at", "created_at"}),
	}).Create(&row).Error
}

// useOneTimeToken takes the token away. Of many who try at once, one is told true.
func useOneTimeToken(tx *gorm.DB, text string, purpose Purpose, now time.Time) (bool, error) {
	taken := tx.
		Where("digest = ? AND purpose = ? AND expires_at > ?", token.OneTimeDigest(text), purpose, now).
		Delete(&OneTimeToken{})
	return taken.RowsAffected == 1, taken.Error
}

// voidOneTimeTokens takes away what a user has outstanding, of whatever purpose.
func voidOneTimeTokens(tx *gorm.DB, user uuid.UUID) error {
	return tx.Where("user_id = ?", user).Delete(&OneTimeToken{}).Error
}
