package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10
)

// RecoveryCode is a code that replaces one of the authenticator app. Using it deletes the row.
type RecoveryCode struct {
	UserID    uuid.UUID `gorm:"primaryKey"`
	Digest    []byte    `gorm:"primaryKey"`
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

// countRecoveryCodes returns the number of unused recovery codes of a user.
func countRecoveryCodes(db *gorm.DB, user uuid.UUID) (left int64, err error) {
	err = db.Model(&RecoveryCode{}).Where("user_id = ?", user).Count(&left).Error
	return left, err
}

// codeEncoding is base32 in lower case, without characters that are easily confused: 0 and 1.
var codeEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// replaceRecoveryCodes replaces the recovery codes of a user, and returns the new ones.
func replaceRecoveryCodes(tx *gorm.DB, user uuid.UUID, now time.Time) ([]string, error) {
	if err := tx.Where("user_id = ?", user).Delete(&RecoveryCode{}).Error; err != nil {
		return nil, err
	}
	var codes []string
	var rows []RecoveryCode
	for range recoveryCodes {
		raw := make([]byte, recoveryCodeBytes)
		_, _ = rand.Read(raw) // never fails (crypto/rand)
		groups := slices.Collect(slices.Chunk([]byte(codeEncoding.EncodeToString(raw)), 4))
		code := fmt.Sprintf("%s-%s-%s-%s", groups[0], groups[1], groups[2], groups[3])
		codes = append(codes, code)
		rows = append(rows, RecoveryCode{UserID: user, Digest: recoveryCodeDigest(user, code), CreatedAt: now})
	}
	return codes, tx.Create(&rows).Error
}

// recoveryCodeDigest returns the digest of a code, however it is typed. A code has 80 random bits and
// the user's id is a salt, so a stolen digest is useless even without a slow hash.
func recoveryCodeDigest(user uuid.UUID, code string) []byte {
	plain := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
	digest := sha256.Sum256(append(user[:], plain...))
	return digest[:]
}

func (s *Service) useRecoveryCode(tx *gorm.DB, a *codeAttempt) error {
	used := tx.Where("user_id = ? AND digest = ?", a.user.ID, recoveryCodeDigest(a.user.ID, a.code)).
		Delete(&RecoveryCode{})
	if used.Error == nil && used.RowsAffected == 0 {
		return ErrInvalidCode
	}
	if used.Error != nil {
		return used.Error
	}
	if err := clearFailures(tx, a.user.ID); err != nil {
		return err
	}
	return s.enqueueNotice(tx, recoveryCodeUsedEmail, a.user)
}
