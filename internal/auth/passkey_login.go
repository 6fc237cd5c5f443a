package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// passkeyLoginPurpose is the purpose of a challenge for a login with a passkey. It names nobody:
// the browser chooses the passkey.
const passkeyLoginPurpose = "passkey login"

// StartPasskeyLogin returns the options for a browser that logs in with a passkey. They are the
// same for everybody, except the challenge, and nothing is stored.
func (s *Service) StartPasskeyLogin() *PasskeyOptions { return s.passkeyOptions(passkeyLoginPurpose) }

// FinishPasskeyLogin starts a session for the user whose passkey a browser has proved to have.
// response is the result of navigator.credentials.get in JSON. It returns passkey.ErrInvalid,
// ErrEmailNotVerified or *ThrottledError.
//
// An unknown passkey, one of another user and a disabled user return the same error. A passkey has
// proved two factors: the device, and the PIN or fingerprint that it asked for.
func (s *Service) FinishPasskeyLogin(ctx context.Context, response []byte, client Client) (tokens *Tokens, err error) {
	defer func() {
		s.observe("finish-passkey-login", err)
		s.observeFactor(FactorPasskey, err)
	}()
	event := s.failure(audit.Login, nil, client)
	reservation, err := s.reserve(ctx, event, throttle.Charge{Limit: passkeyLoginsPerNetwork}.PerNetwork(client.IP)...)
	if err != nil {
		return nil, fmt.Errorf("finish passkey login: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	var challenge passkeyChallenge
	var stored *Passkey
	var user *loginUser
	credential, cloned, err := s.config.Passkeys.Login(response,
		challenge.open(s.config.Challenges, passkeyLoginPurpose),
		func(id []byte) (_ *passkey.Credential, handle []byte, err error) {
			stored, user, err = s.findPasskey(ctx, id)
			if err != nil || user == nil {
				return nil, nil, err
			}
			event.UserID, event.Email = user.ID, user.Email
			return stored.credential(), user.ID[:], nil
		})
	if err == nil {
		tokens, err = s.loginWithPasskey(ctx, passkeyLogin{
			user: user, stored: stored, credential: credential, cloned: cloned, challenge: challenge,
			client: client, refund: reservation.Refund,
		})
	}
	if isInvalidPasskey(err) {
		event.Detail = passkeyCause(err)
		err = errors.Join(s.record(ctx, event), err)
	}
	if err != nil {
		return nil, fmt.Errorf("finish passkey login: %w", err)
	}
	return tokens, nil
}

// findPasskey returns the passkey with a credential id and its user, or nil if there is none or the
// user is disabled.
func (s *Service) findPasskey(ctx context.Context, credentialID []byte) (*Passkey, *loginUser, error) {
	stored, err := found[Passkey](s.db.WithContext(ctx).Where("credential_id = ?", credentialID))
	if err != nil || stored == nil {
		return nil, nil, err
	}
	user, err := found[loginUser](loginUsers(s.db.WithContext(ctx)).
		Where("users.id = ? AND users.disabled_at IS NULL", stored.UserID))
	return stored, user, err
}

// passkeyLogin is a login whose passkey was checked.
type passkeyLogin struct {
	user       *loginUser
	stored     *Passkey
	credential *passkey.Credential // with its new count and state
	cloned     bool
	challenge  passkeyChallenge
	client     Client
	refund     func(tx *gorm.DB) error
}

// loginWithPasskey starts the session of a login with a passkey.
//
// A signature count that goes back may mean that there are two copies of the key. For a passkey
// that is synchronized between devices, this is the normal case, and only recorded. Any other is
// refused.
func (s *Service) loginWithPasskey(ctx context.Context, login passkeyLogin) (*Tokens, error) {
	user := &login.user.User
	if s.config.EmailVerification == VerificationRequired && !user.EmailVerified() {
		return nil, ErrEmailNotVerified
	}
	if login.cloned {
		event := s.failure(audit.PasskeyCount, user, login.client)
		event.Detail = fmt.Sprintf("the signature count of the passkey %s went back", login.stored.ID)
		once := throttle.Charge{Limit: repeatedEvents, Subject: string(event.Kind) + " " + login.stored.ID.String()}
		recorded, err := s.recordOnce(ctx, event, once)
		if err != nil {
			return nil, err
		}
		if recorded {
			s.warn("the signature count of a passkey went back: there may be a copy of it", event)
		}
		if !login.stored.BackupEligible {
			return nil, fmt.Errorf("%w: the signature count went back", passkey.ErrInvalid)
		}
	}
	known, err := s.knownUser(ctx, user.Email, login.client.IP)
	if err != nil {
		return nil, err
	}
	tokens, err := s.startSession(ctx, newLogin{
		user: login.user, methods: token.ByPasskey, passkey: &login.stored.ID, client: login.client, known: known != nil,
		use:    func(tx *gorm.DB) error { return s.usePasskey(tx, login) },
		refund: login.refund,
	})
	if err == nil && tokens == nil {
		err = fmt.Errorf("%w: the user changed during the login", passkey.ErrInvalid)
	}
	return tokens, err
}

// usePasskey uses up the challenge, and stores the new state of the passkey. It returns
// passkey.ErrInvalid if the passkey was removed or used meanwhile.
func (s *Service) usePasskey(tx *gorm.DB, login passkeyLogin) error {
	if err := login.challenge.use(tx); err != nil {
		return err
	}
	update := tx.Model(&Passkey{}).Where("id = ? AND sign_count = ?", login.stored.ID, login.stored.SignCount).
		UpdateColumns(map[string]any{
			"sign_count": int64(login.credential.SignCount), "backed_up": login.credential.BackedUp, "last_used_at": s.now(),
		})
	if update.Error == nil && update.RowsAffected == 0 {
		return fmt.Errorf("%w: it was removed or used meanwhile", passkey.ErrInvalid)
	}
	if update.Error != nil {
		return update.Error
	}
	return clearFailures(tx, login.user.ID) // a full login: codes work again
}
