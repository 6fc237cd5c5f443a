// Package passkey checks passkeys (WebAuthn Level 3). It is the only package that uses the library
// for that.
//
// It knows neither users nor challenges: the caller looks up credentials, and says whether a
// challenge is its own.
package passkey

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// ErrInvalid is returned for a response of a browser that is not accepted. The wrapped cause is for
// the log, and must not be sent to the client.
var ErrInvalid = errors.New("passkey is not accepted")

// Algorithms are the COSE algorithms that are accepted, the preferred one first: ES256, which every
// authenticator supports, EdDSA, and RS256, which some laptops need.
var Algorithms = []int32{int32(webauthncose.AlgES256), int32(webauthncose.AlgEdDSA), int32(webauthncose.AlgRS256)}

// Config configures a RelyingParty. All fields are required.
type Config struct {
	ID      string   // the domain that passkeys are for, such as example.com
	Name    string   // of the service
	Origins []string // of the pages that may use the passkeys, such as https://app.example.com
}

// RelyingParty checks the responses of browsers. It is safe for concurrent use.
type RelyingParty struct {
	id       string
	webauthn *webauthn.WebAuthn
}

// New returns a RelyingParty.
func New(config Config) (*RelyingParty, error) {
	party, err := webauthn.New(&webauthn.Config{
		RPID: config.ID, RPDisplayName: config.Name, RPOrigins: config.Origins,
		// Browsers differ in the outputs of extensions that they add without being asked. None is used.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return &RelyingParty{id: config.ID, webauthn: party}, nil
}

// ID returns the domain that passkeys are for.
func (r *RelyingParty) ID() string { return r.id }

// Name returns the name of the service.
func (r *RelyingParty) Name() string { return r.webauthn.Config.RPDisplayName }

// Credential is what a server stores of a passkey.
type Credential struct {
	ID             []byte
	PublicKey      []byte   // in COSE form
	SignCount      uint32   // of the last signature; always 0 if the authenticator does not count
	AAGUID         []byte   // the model of the authenticator; zeros: not known
	Transports     []string // how a browser reaches the authenticator
	BackupEligible bool     // it may be synchronized between devices
	BackedUp       bool     // it is
}

// Register returns the credential that a browser has created for a user, from the result of
// navigator.credentials.create in JSON. It returns ErrInvalid, or the error of isOwn, which gets
// the challenge in base64url.
//
// It requires that the browser asked the user for a PIN, a fingerprint or the like, for a page of
// one of the origins. It does not require that the authenticator proves its model.
func (r *RelyingParty) Register(response, userHandle []byte, isOwn func(challenge string) error) (*Credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, invalid(err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if err := isOwn(challenge); err != nil {
		return nil, err
	}
	session := r.session(challenge)
	session.UserID = userHandle
	for _, algorithm := range Algorithms {
		session.CredParams = append(session.CredParams, protocol.CredentialParameter{
			Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(algorithm),
		})
	}
	made, err := r.webauthn.CreateCredential(owner{handle: userHandle}, session, parsed)
	if err != nil {
		return nil, invalid(err)
	}
	credential := &Credential{
		ID: made.ID, PublicKey: made.PublicKey, SignCount: made.Authenticator.SignCount, AAGUID: made.Authenticator.AAGUID,
		BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState,
	}
	for _, transport := range made.Transport {
		credential.Transports = append(credential.Transports, string(transport))
	}
	return credential, nil
}

// Lookup returns the credential with this id and the handle of its user. A nil credential means
// that there is none.
type Lookup func(id []byte) (credential *Credential, userHandle []byte, err error)

// Login returns the credential that a browser has proved to have, with its new count and state,
// from the result of navigator.credentials.get in JSON. cloned reports whether the count went back:
// perhaps there are two copies of the key. It returns ErrInvalid, or the error of isOwn or lookup.
func (r *RelyingParty) Login(
	response []byte, isOwn func(challenge string) error, lookup Lookup,
) (credential *Credential, cloned bool, err error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, false, invalid(err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if err := isOwn(challenge); err != nil {
		return nil, false, err
	}
	credential, handle, err := lookup(parsed.RawID)
	if err != nil {
		return nil, false, err
	}
	if credential == nil {
		return nil, false, invalid(errors.New("unknown credential"))
	}
	_, checked, err := r.webauthn.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) {
		return owner{handle: handle, credential: credential}, nil
	}, r.session(challenge), parsed)
	if err != nil {
		return nil, false, invalid(err)
	}
	updated := *credential
	updated.SignCount, updated.BackedUp = checked.Authenticator.SignCount, checked.Flags.BackupState
	return &updated, checked.Authenticator.CloneWarning, nil
}

// session returns what the library requires of a response.
func (r *RelyingParty) session(challenge string) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: r.id, UserVerification: protocol.VerificationRequired,
	}
}

// invalid returns an ErrInvalid with its cause.
func invalid(err error) error {
	var detailed *protocol.Error
	if errors.As(err, &detailed) && detailed.DevInfo != "" {
		err = fmt.Errorf("%w: %s", err, detailed.DevInfo)
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// owner is a user of the library with at most one credential.
type owner struct {
	handle     []byte
	credential *Credential
}

// WebAuthnID returns the user handle.
func (o owner) WebAuthnID() []byte { return o.handle }

// WebAuthnName is not used.
func (o owner) WebAuthnName() string { return "" }

// WebAuthnDisplayName is not used.
func (o owner) WebAuthnDisplayName() string { return "" }

// WebAuthnCredentials returns the credential.
func (o owner) WebAuthnCredentials() []webauthn.Credential {
	if o.credential == nil {
		return nil
	}
	return []webauthn.Credential{{
		ID: o.credential.ID, PublicKey: slices.Clone(o.credential.PublicKey),
		Flags: webauthn.CredentialFlags{
			UserVerified: true, BackupEligible: o.credential.BackupEligible, BackupState: o.credential.BackedUp,
		},
		Authenticator: webauthn.Authenticator{AAGUID: o.credential.AAGUID, SignCount: o.credential.SignCount},
	}}
}
