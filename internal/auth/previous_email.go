package auth

import (
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/token"
)

// PreviousEmail is a verified email that a user had before a change. Until it expires, the change
// can be undone with a token that is sent to this email, and nobody else can use this email.
//
// The rows of a user survive later changes of the email and of the password, because an attacker
// who took over the account can make those.
type PreviousEmail struct {
	UserID    uuid.UUID `gorm:"primaryKey"`
	Email     string    `gorm:"primaryKey"`
	Position  int64     // orders the changes of a user; clocks may not agree
	Digest    []byte    // token.OneTimeDigest
	ChangedAt time.Time // when the user first got another email
	ExpiresAt time.Time
}

// keepPreviousEmail stores the email of a user before a change. It returns no token: the email that
// contains it makes one. The caller has changed, and thus locked, the user's row.
func keepPreviousEmail(tx *gorm.DB, user *User, now time.Time) error {
	var last int64
	err := tx.Model(&PreviousEmail{}).Where("user_id = ?", user.ID).Select("COALESCE(MAX(position), 0)").Scan(&last).Error
	if err != nil {
		return err
	}
	_, digest := token.NewOneTime()
	row := PreviousEmail{
		UserID: user.ID, Email: user.Email, Position: last + 1, Digest: digest, ChangedAt: now,
		ExpiresAt: now.Add(undoLifetime),
	}
	// The position and the time of an email that the user had before stay: a later change must not be
	// able to move it behind the emails and factors of somebody who took over the account.
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "email"}},
		DoUpdates: clause.AssignmentColumns([]string{"digest", "expires_at"}),
	}).Create(&row).Error
}

// isPreviousEmail reports whether an email is a previous one of another user.
func isPreviousEmail(tx *gorm.DB, email string, user uuid.UUID, now time.Time) (bool, error) {
	var rows int64
	err := validPreviousEmails(tx, now).Where("email = ? AND user_id <> ?", email, user).Count(&rows).Error
	return rows > 0, err
}

// validPreviousEmails returns a query for the previous emails that can be restored. One that was
// stored while a clock was ahead cannot: it would count as taken for too long.
func validPreviousEmails(tx *gorm.DB, now time.Time) *gorm.DB {
	return tx.Model(&PreviousEmail{}).Where("expires_at > ? AND expires_at <= ?", now, now.Add(undoLifetime+maxAhead))
}

// findPreviousEmail returns the row of a valid token, or ErrInvalidLink. A token of a disabled user
// is not valid.
func findPreviousEmail(tx *gorm.DB, text string, now time.Time) (*PreviousEmail, error) {
	var row PreviousEmail
	err := validPreviousEmails(tx, now).Where("digest = ?", token.OneTimeDigest(text)).
		Where("user_id IN (SELECT id FROM users WHERE disabled_at IS NULL)").
		Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrInvalidLink
	}
	return &row, err
}
