package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/passkey"
)

// StartPasskeyRegistration returns the options for a browser that creates a passkey. It returns
// ErrEmailNotVerified, *RecentLoginError or ErrTooManyPasskeys.
func (s *Service) StartPasskeyRegistration(ctx context.Context, access *Access) (*PasskeyOptions, error) {
	if _, err := s.requireFactorChange(ctx, access); err != nil {
		return nil, fmt.Errorf("start passkey registration: %w", err)
	}
	existing, err := s.Passkeys(ctx, access.User.ID)
	if err == nil && len(existing) >= maxPasskeys {
		err = ErrTooManyPasskeys
	}
	if err != nil {
		return nil, fmt.Errorf("start passkey registration: %w", err)
	}
	options := s.passkeyOptions(registrationPurpose(access))
	options.Existing = existing
	return options, nil
}

// registrationPurpose is the purpose of a challenge for a new passkey. It names the user, the session
// and the generation, so the challenge is useless in another session and after a new password.
func registrationPurpose(access *Access) string {
	return fmt.Sprintf("passkey registration %s %s %d", access.User.ID, access.Session, access.User.Generation)
}

// FinishPasskeyRegistration adds the passkey that a browser has created. response is the result of
// navigator.credentials.create in JSON. It returns ErrEmailNotVerified, *RecentLoginError,
// passkey.ErrInvalid, ErrPasskeyExists, ErrTooManyPasskeys, *ThrottledError, or ErrInvalidAccessToken
// if the session has ended meanwhile.
func (s *Service) FinishPasskeyRegistration(
	ctx context.Context, access *Access, name string, response []byte, client Client,
) (added *Passkey, err error) {
	defer func() { s.observe("finish-passkey-registration", err) }()
	user := access.User
	event := s.failure(audit.AddPasskey, user, client)
	event.SessionID = access.Session
	_, end, err := s.startFactorChange(ctx, access, event)
	if err != nil {
		return nil, fmt.Errorf("finish passkey registration: %w", err)
	}
	defer func() { end(err) }()
	var challenge passkeyChallenge
	credential, err := s.config.Passkeys.Register(response, user.ID[:],
		challenge.open(s.config.Challenges, registrationPurpose(access)))
	if err == nil {
		err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
			if added, err = s.addPasskey(tx, user, name, credential, challenge); err != nil {
				return err
			}
			success := s.success(audit.AddPasskey, user, client)
			success.SessionID = access.Session
			return audit.Record(tx, success)
		})
	}
	if isInvalidPasskey(err) {
		event.Detail = passkeyCause(err)
		err = errors.Join(s.record(ctx, event), err)
	}
	if err != nil {
		return nil, fmt.Errorf("finish passkey registration: %w", err)
	}
	s.config.Outbox.Wake()
	return added, nil
}

// addPasskey stores a passkey, uses up its challenge, and notifies the user.
func (s *Service) addPasskey(
	tx *gorm.DB, user *User, name string, credential *passkey.Credential, challenge passkeyChallenge,
) (*Passkey, error) {
	if err := challenge.use(tx); err != nil {
		return nil, err
	}
	if err := lockGeneration(tx, user); err != nil { // so that parallel ones do not exceed the limit
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	row := Passkey{
		ID: id, UserID: user.ID, CredentialID: credential.ID, PublicKey: credential.PublicKey,
		SignCount: int64(credential.SignCount), AAGUID: credential.AAGUID,
		Transports:     strings.Join(credential.Transports, " "),
		BackupEligible: credential.BackupEligible, BackedUp: credential.BackedUp,
		Name: name, CreatedAt: s.now(),
	}
	if row.Name == "" {
		row.Name = defaultPasskeyName
	}
	insert := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "credential_id"}}, DoNothing: true}).
		Create(&row)
	if insert.Error == nil && insert.RowsAffected == 0 {
		return nil, ErrPasskeyExists
	}
	if insert.Error != nil {
		return nil, insert.Error
	}
	existing, err := passkeysOf(tx, user.ID)
	if err == nil && len(existing) > maxPasskeys {
		err = ErrTooManyPasskeys
	}
	if err != nil {
		return nil, err
	}
	return &row, s.enqueueNotice(tx, passkeyAddedEmail, user)
}
