package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
)

// If the user changes after the password was checked, an operation on the email or the password does
// nothing. Otherwise a link could be used with the password of somebody who registered the email
// before, and who has just lost the account to its owner.
func TestNothingIsDoneIfTheUserChangedMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Now: s.config.Now})
		changes := map[string]map[string]any{
			"email":      {"email": gorm.Expr("email || '.new'")},
			"generation": {"generation": gorm.Expr("generation + 1")},
			"disabled":   {"disabled_at": noon},
			"verified":   {"email_verified_at": noon},
		}
		operations := map[string]struct {
			refusedAfter []string
			do           func(tx *gorm.DB, user *User, token string) error
		}{
			"verify the email": {[]string{"email", "generation", "disabled"}, func(tx *gorm.DB, user *User, token string) error {
				return verifyEmail(tx, user, token, noon)
			}},
			"replace the email": {[]string{"email", "generation", "disabled", "verified"},
				func(tx *gorm.DB, user *User, _ string) error {
					now := noon
					return s.replaceEmail(tx, user, "next-"+user.Email, &now, noon)
				}},
			"request a change of the email": {[]string{"email", "generation"}, func(tx *gorm.DB, user *User, _ string) error {
				return holdGeneration(tx, user)
			}},
			"replace the password": {[]string{"email", "disabled"}, func(tx *gorm.DB, user *User, _ string) error {
				replaced, err := s.replacePassword(tx, user, "another", noon, enabledOnly)
				if err == nil && !replaced {
					return ErrInvalidLink
				}
				return err
			}},
		}
		for operation, of := range operations {
			for change, columns := range changes {
				user, _ := s.storeUser(t, strings.ReplaceAll(operation, " ", "-")+"@"+change+".example")
				db := s.db.WithContext(t.Context())
				token, err := newOneTimeToken(db, user.ID, PurposeVerifyEmail, user.Email, noon, verificationLifetime)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Model(&User{}).Where("id = ?", user.ID).UpdateColumns(columns).Error; err != nil {
					t.Fatal(err)
				}
				err = s.db.Transaction(t.Context(), func(tx *gorm.DB) error { return of.do(tx, user, token) })
				refused := errors.Is(err, ErrInvalidLink) || errors.Is(err, ErrInvalidAccessToken)
				if err != nil && !refused || refused != slices.Contains(of.refusedAfter, change) {
					t.Errorf("%s after a change of %s: %v", operation, change, err)
				}
			}
		}
	})
}

// A login that overlaps a change of the email does not make its network known for the old email, which
// may be that of another user next.
func TestNetworkOfAnEmailThatChangedMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		db := s.db.WithContext(t.Context())
		const ip = "192.0.2.1"
		expectKnown := func(email string, want bool) {
			t.Helper()
			var rows int64
			err := db.Model(&KnownNetwork{}).Where("pseudonym = ?", s.networkPseudonym(email, ip)).Count(&rows).Error
			if err != nil || (rows > 0) != want {
				t.Errorf("the network is known for %s: %d rows, %v", email, rows, err)
			}
		}
		changed := *user
		changed.Email = "next@example.com"
		if err := db.Model(&User{}).Where("id = ?", user.ID).UpdateColumn("email", changed.Email).Error; err != nil {
			t.Fatal(err)
		}
		for _, login := range []*User{user, &changed, &changed} {
			if err := s.rememberNetwork(db, login, ip, noon); err != nil {
				t.Fatal(err)
			}
		}
		expectKnown(user.Email, false)
		expectKnown(changed.Email, true)
	})
}
