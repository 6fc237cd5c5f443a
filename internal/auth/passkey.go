package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/token"
)

// Passkey is a passkey of a user.
type Passkey struct {
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	CredentialID   []byte // unique
	PublicKey      []byte
	SignCount      int64
	AAGUID         []byte `gorm:"column:aaguid"`
	Transports     string // separated by spaces
	BackupEligible bool
	BackedUp       bool
	Name           string
	CreatedAt      time.Time `gorm:"autoCreateTime:false"`
	LastUsedAt     *time.Time
}

const (
	// maxPasskeys is how many passkeys a user may have.
	maxPasskeys = 20
	// defaultPasskeyName is the name of a passkey that the user does not name.
	defaultPasskeyName = "Passkey"
	// MaxPasskeyName is the maximum length of the name of a passkey, in characters.
	MaxPasskeyName = 100
)

// TransportList returns how a browser reaches the authenticator.
func (p *Passkey) TransportList() []string {
	return append([]string{}, strings.Fields(p.Transports)...)
}

// Model returns the AAGUID of the authenticator.
func (p *Passkey) Model() uuid.UUID {
	model, _ := uuid.FromBytes(p.AAGUID) // zeros if it is not one
	return model
}

func (p *Passkey) credential() *passkey.Credential {
	return &passkey.Credential{
		ID: p.CredentialID, PublicKey: p.PublicKey, SignCount: uint32(p.SignCount), //nolint:gosec // it was one
		AAGUID: p.AAGUID, Transports: p.TransportList(), BackupEligible: p.BackupEligible, BackedUp: p.BackedUp,
	}
}

// Passkeys returns the passkeys of a user, the oldest first.
func (r *Reader) Passkeys(ctx context.Context, user uuid.UUID) ([]Passkey, error) {
	passkeys, err := passkeysOf(r.db.WithContext(ctx), user)
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return passkeys, nil
}

func passkeysOf(db *gorm.DB, user uuid.UUID) (passkeys []Passkey, err error) {
	err = db.Where("user_id = ?", user).Order("id").Find(&passkeys).Error
	return passkeys, err
}

// PasskeyOptions are the options for a browser that creates a passkey, or logs in with one. A login
// names no user.
type PasskeyOptions struct {
	RelyingPartyID string
	Name           string // of the service
	Challenge      []byte
	Timeout        time.Duration
	Existing       []Passkey // of the user
}

func (s *Service) passkeyOptions(purpose string) *PasskeyOptions {
	return &PasskeyOptions{
		RelyingPartyID: s.config.Passkeys.ID(), Name: s.config.Passkeys.Name(),
		Challenge: s.config.Challenges.New(purpose, nil), Timeout: token.ChallengeLifetime,
	}
}

// passkeyChallenge is the challenge of a browser's response.
type passkeyChallenge struct {
	raw     []byte
	expires time.Time
}

// open returns a function that accepts only challenges that were made for this purpose.
func (c *passkeyChallenge) open(challenges token.Challenges, purpose string) func(text string) error {
	return func(text string) (err error) {
		if c.raw, err = base64.RawURLEncoding.DecodeString(text); err == nil {
			_, c.expires, err = challenges.Open(c.raw, purpose)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", passkey.ErrInvalid, err)
		}
		return nil
	}
}

// use uses up the challenge.
func (c *passkeyChallenge) use(tx *gorm.DB) error {
	used, err := useChallenge(tx, c.raw, c.expires)
	if err == nil && !used {
		err = fmt.Errorf("%w: the challenge was used", passkey.ErrInvalid)
	}
	return err
}

// passkeyCause returns the reason in an error of package passkey, for the audit log.
func passkeyCause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, passkey.ErrInvalid.Error()+": "); i >= 0 {
		text = text[i+len(passkey.ErrInvalid.Error())+2:]
	}
	return text
}

// isInvalidPasskey reports whether err means that a passkey was not accepted.
func isInvalidPasskey(err error) bool { return errors.Is(err, passkey.ErrInvalid) }

// passkeyID parses the id of a passkey. No passkey has the id of a malformed text.
func passkeyID(text string) uuid.UUID {
	id, _ := uuid.Parse(text)
	return id
}
