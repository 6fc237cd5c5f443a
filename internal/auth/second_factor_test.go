package auth

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/totp"
)

// Whatever starts a session, it is not stored if the user has a confirmed second factor that it has
// not proved.
func TestNoSessionWithoutTheFactor(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		other, _ := s.storeUser(t, "grace@example.com")
		factor := TOTPFactor{UserID: user.ID, Sealed: []byte("sealed"), CreatedAt: noon}
		if err := s.db.WithContext(t.Context()).Create(&factor).Error; err != nil {
			t.Fatal(err)
		}
		stored := func(user *User, methods token.Methods) bool {
			t.Helper()
			session, err := s.newSession(user, methods, Client{})
			if err != nil {
				t.Fatal(err)
			}
			created, err := s.createSession(t, session, user, "")
			if err != nil {
				t.Fatal(err)
			}
			return created
		}
		if !stored(user, token.ByPassword) {
			t.Error("a factor that is not confirmed keeps the user out")
		}
		confirm := s.db.WithContext(t.Context()).Model(&TOTPFactor{}).Where("user_id = ?", user.ID)
		if err := confirm.Update("confirmed_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		for methods, want := range map[token.Methods]bool{
			token.ByPassword: false, token.ByRemovedPasskey: false, "": false, "otp": false, "mfa2": false,
			token.ByTOTP: true, token.ByRecoveryCode: true, token.ByPasskey: true,
		} {
			if got := stored(user, methods); got != want {
				t.Errorf("%q: stored %t", methods, got)
			}
		}
		if !stored(other, token.ByPassword) {
			t.Error("the factor of another user counts")
		}
	})
}

// Enrolling again during a confirmation does not replace the factor that is confirmed by then.
func TestEnrollmentDuringConfirmation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		s.config.TOTPSealer = secret.NewSealer([]secret.Secret{bytes.Repeat([]byte{7}, 32)}, "totp seal v1")
		user, _ := s.storeUser(t, "ada@example.com")
		enroll := func() error {
			return s.db.Transaction(t.Context(), func(tx *gorm.DB) error {
				_, err := s.enrollTOTP(tx, user)
				return err
			})
		}
		for range 2 {
			if err := enroll(); err != nil {
				t.Fatal(err)
			}
		}
		confirm := s.db.WithContext(t.Context()).Model(&TOTPFactor{}).Where("user_id = ?", user.ID)
		if err := confirm.Update("confirmed_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		if err := enroll(); !errors.Is(err, ErrFactorExists) {
			t.Errorf("enroll: %v", err)
		}
	})
}

// Of two confirmations at the same time, one succeeds. The other does not replace the recovery
// codes.
func TestConfirmationDuringAnother(t *testing.T) {
	s := newService(t, databasetest.Postgres) // SQLite has one writer, so the two cannot overlap
	s.config.TOTPSealer = secret.NewSealer([]secret.Secret{bytes.Repeat([]byte{7}, 32)}, "totp seal v1")
	s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Now: s.config.Now})
	user, _ := s.storeUser(t, "ada@example.com")
	var app totp.Secret
	err := s.db.Transaction(t.Context(), func(tx *gorm.DB) (err error) {
		app, err = s.enrollTOTP(tx, user)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	confirm := func(tx *gorm.DB) error {
		_, err := s.confirmTOTP(tx, user, app.Code(totp.Step(noon)))
		return err
	}
	err = databasetest.Meanwhile(t, s.db, confirm, func() error { return s.db.Transaction(t.Context(), confirm) })
	if !errors.Is(err, ErrFactorExists) {
		t.Errorf("the second confirmation: %v", err)
	}
}

// A session is continued only if it is valid, and if the user and the second factor are still those
// of the proof.
func TestContinuedSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		for name, test := range map[string]struct {
			table   string
			changes map[string]any
			methods token.Methods
			want    error
		}{
			"nothing":      {"users", map[string]any{"name": "Grace"}, token.ByPassword, nil},
			"revoked":      {"sessions", map[string]any{"revoked_at": noon}, token.ByPassword, ErrInvalidAccessToken},
			"expired":      {"sessions", map[string]any{"expires_at": noon}, token.ByPassword, ErrInvalidAccessToken},
			"idle":         {"sessions", map[string]any{"idle_expires_at": noon}, token.ByPassword, ErrInvalidAccessToken},
			"disabled":     {"users", map[string]any{"disabled_at": noon}, token.ByPassword, ErrInvalidAccessToken},
			"new email":    {"users", map[string]any{"email": "x@example.com"}, token.ByPassword, ErrInvalidAccessToken},
			"new hash":     {"users", map[string]any{"password_hash": "y"}, token.ByPassword, ErrInvalidAccessToken},
			"logged out":   {"users", map[string]any{"generation": 2}, token.ByPassword, ErrInvalidAccessToken},
			"factor":       {"totp_factors", map[string]any{"confirmed_at": noon}, token.ByPassword, ErrInvalidAccessToken},
			"factor, used": {"totp_factors", map[string]any{"confirmed_at": noon}, token.ByTOTP, nil},
		} {
			user, session := s.storeUser(t, strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")+"@example.com")
			db := s.db.WithContext(t.Context())
			if err := db.Create(&TOTPFactor{UserID: user.ID, Sealed: []byte("x"), CreatedAt: noon}).Error; err != nil {
				t.Fatal(err)
			}
			column := map[string]string{"users": "id", "sessions": "user_id", "totp_factors": "user_id"}[test.table]
			if err := db.Table(test.table).Where(column+" = ?", user.ID).Updates(test.changes).Error; err != nil {
				t.Fatal(err)
			}
			err := s.db.Transaction(t.Context(), func(tx *gorm.DB) error {
				_, err := s.continueSession(tx, &Access{User: user, Session: session.ID}, noon, test.methods, Client{})
				return err
			})
			if !errors.Is(err, test.want) || err != nil && test.want == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The digest of a recovery code depends on the user, and not on how the code is typed.
func TestRecoveryCodeDigest(t *testing.T) {
	s := newService(t, databasetest.SQLite)
	user, _ := s.storeUser(t, "ada@example.com")
	other, _ := s.storeUser(t, "grace@example.com")
	digest := recoveryCodeDigest(user.ID, "abcd-efgh-ijkl-mnop")
	for _, typed := range []string{"ABCD-EFGH-IJKL-MNOP", "abcdefghijklmnop", " abcd efgh ijkl mnop "} {
		if !bytes.Equal(recoveryCodeDigest(user.ID, typed), digest) {
			t.Errorf("%q has another digest", typed)
		}
	}
	if bytes.Equal(recoveryCodeDigest(other.ID, "abcd-efgh-ijkl-mnop"), digest) {
		t.Error("another user has the same digest")
	}
	var codes []string
	err := s.db.Transaction(t.Context(), func(tx *gorm.DB) (err error) {
		codes, err = replaceRecoveryCodes(tx, user.ID, noon)
		return err
	})
	if err != nil || len(codes) != recoveryCodes || codes[0] == codes[1] {
		t.Errorf("%q, %v", codes, err)
	}
}
