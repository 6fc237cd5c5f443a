package auth

import (
	"errors"
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
	Email     string    // that the token is sent to; empty if an operator made the token
	Digest    []byte    // token.OneTimeDigest
	ExpiresAt time.Time
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

// Purpose is what an emailed token may be used for. A token is refused for any other purpose. It is
// also the path of the page that the link leads to.
type Purpose string

// The purposes.
const (
	PurposeResetPassword      Purpose = "reset-password"
	PurposeVerifyEmail        Purpose = "verify-email"
	PurposeConfirmEmailChange Purpose = "confirm-email-change"
	PurposeUndoEmailChange    Purpose = "undo-email-change" // these are in another table: see PreviousEmail
)

// newOneTimeToken makes a token for a user and purpose, to be sent to an email. It replaces an older
// one.
func newOneTimeToken(
	tx *gorm.DB, user uuid.UUID, purpose Purpose, email string, now time.Time, lifetime time.Duration,
) (string, error) {
	text, digest := token.NewOneTime()
	row := OneTimeToken{
		UserID: user, Purpose: purpose, Email: email, Digest: digest, ExpiresAt: now.Add(lifetime), CreatedAt: now,
	}
	return text, tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "purpose"}},
		DoUpdates: clause.AssignmentColumns([]string{"email", "digest", "expires_at", "created_at"}),
	}).Create(&row).Error
}

// findOneTimeToken returns a valid token and its user, or ErrInvalidLink. The token can become
// invalid meanwhile: useOneTimeToken decides.
func findOneTimeToken(db *gorm.DB, text string, purpose Purpose, now time.Time) (*OneTimeToken, *User, error) {
	var row OneTimeToken
	err := validTokenFor(db, text, purpose, now).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil, ErrInvalidLink
	}
	if err != nil {
		return nil, nil, err
	}
	user, err := userByID(db, row.UserID)
	if errors.Is(err, ErrUnknownUser) {
		return nil, nil, ErrInvalidLink
	}
	return &row, user, err
}

// useOneTimeToken deletes the token and reports whether it was valid. If it is called several times
// with the same token, even concurrently, only one call returns true.
func useOneTimeToken(tx *gorm.DB, text string, purpose Purpose, now time.Time) (bool, error) {
	used := validTokenFor(tx, text, purpose, now).Delete(&OneTimeToken{})
	return used.RowsAffected == 1, used.Error
}

// validTokenFor is like validOneTimeToken, for one purpose.
func validTokenFor(tx *gorm.DB, text string, purpose Purpose, now time.Time) *gorm.DB {
	return validOneTimeToken(tx, text, now).Where("purpose = ?", purpose)
}

// validOneTimeToken returns a query for the row of a token of any purpose, if it is valid:
//
//   - The user is not disabled.
//   - The token was sent to the current email of the user, or an operator made it. The exception is
//     the token that confirms a new email.
//   - It has not expired. A token that was made while a clock was ahead is not valid either: it
//     would be valid for too long.
func validOneTimeToken(tx *gorm.DB, text string, now time.Time) *gorm.DB {
	return tx.Model(&OneTimeToken{}).
		Where("digest = ?", token.OneTimeDigest(text)).
		Where("expires_at > ? AND created_at <= ?", now, now.Add(maxAhead)).
		Where(`EXISTS (
			SELECT 1 FROM users WHERE users.id = one_time_tokens.user_id AND users.disabled_at IS NULL
				AND (one_time_tokens.email IN ('', users.email) OR purpose = ?))`, PurposeConfirmEmailChange)
}

// deleteOneTimeTokens deletes a user's tokens for every purpose, and thus a pending change of the
// email.
func deleteOneTimeTokens(tx *gorm.DB, user uuid.UUID) error {
	return tx.Where("user_id = ?", user).Delete(&OneTimeToken{}).Error
}
