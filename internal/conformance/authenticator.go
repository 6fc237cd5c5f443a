package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
)

// The flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	userPresent    = 0x01
	userVerified   = 0x04
	backupEligible = 0x08
	backedUp       = 0x10
	attestedData   = 0x40
)

const (
	credentialBytes = 16
	attestedBytes   = 37 + 16 + 2 + credentialBytes + 77 // the authenticator data with a credential
)

var base64url = base64.RawURLEncoding

// authenticator is a virtual authenticator with one passkey, and the browser that uses it. It does
// not use the code of the server, so that a run finds errors in it.
type authenticator struct {
	key        *ecdsa.PrivateKey // for ES256
	credential []byte            // its id
	user       string            // the handle of the user, in base64url
	origin     string            // of the page in the browser
	unverified bool              // it does not check who the user is
	// id is that of the passkey on the server, and registration the request that added it.
	id           string
	registration call
}

func newAuthenticator(origin string) *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // never: crypto/rand does not fail
	}
	credential := make([]byte, credentialBytes)
	_, _ = rand.Read(credential) // never fails
	return &authenticator{key: key, credential: credential, origin: origin}
}

// create returns the answer to the options of startPasskeyRegistration, a RegistrationResponseJSON.
func (a *authenticator) create(options response) map[string]any {
	a.user = options.text("user", "id")
	data := a.data(options.text("rp", "id"), attestedData)
	data = append(data, make([]byte, 16)...) // the model is not known
	data = append(data, 0, credentialBytes)
	data = append(data, a.credential...)
	data = append(data, a.publicKey()...)
	attestation := []byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58") // CBOR, without the data
	attestation = append(attestation, attestedBytes)
	attestation = append(attestation, data...)
	return a.answer(map[string]any{
		"clientDataJSON":    base64url.EncodeToString(a.clientData("webauthn.create", options)),
		"attestationObject": base64url.EncodeToString(attestation),
		"transports":        []string{"internal"},
	})
}

// sign returns the answer to the options of startPasskeyLogin, an AuthenticationResponseJSON.
func (a *authenticator) sign(options response) map[string]any {
	client, data := a.clientData("webauthn.get", options), a.data(options.text("rpId"), 0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(data, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		panic(err) // never: crypto/rand does not fail
	}
	return a.answer(map[string]any{
		"clientDataJSON":    base64url.EncodeToString(client),
		"authenticatorData": base64url.EncodeToString(data),
		"signature":         base64url.EncodeToString(signature),
		"userHandle":        a.user,
	})
}

func (a *authenticator) answer(response map[string]any) map[string]any {
	id := base64url.EncodeToString(a.credential)
	return map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response}
}

// clientData is what the browser says about the page (WebAuthn Level 3, section 5.8.1).
func (a *authenticator) clientData(ceremony string, options response) []byte {
	encoded, err := json.Marshal(map[string]any{
		"type": ceremony, "challenge": options.text("challenge"), "origin": a.origin, "crossOrigin": false,
	})
	if err != nil {
		panic(err) // never: all values are strings
	}
	return encoded
}

// data returns authenticator data without a credential. The passkey is synchronized and does not
// count its signatures.
func (a *authenticator) data(rpID string, flags byte) []byte {
	flags |= userPresent | backupEligible | backedUp
	if !a.unverified {
		flags |= userVerified
	}
	hash := sha256.Sum256([]byte(rpID))
	return append(hash[:], flags, 0, 0, 0, 0)
}

// publicKey returns the key as a COSE_Key: EC2, ES256, P-256, x and y (RFC 9053, section 7.1.1).
func (a *authenticator) publicKey() []byte {
	point, err := a.key.PublicKey.Bytes() // 4 ‖ x ‖ y
	if err != nil {
		panic(err) // never: it is on the curve
	}
	return slices.Concat([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), point[1:33],
		[]byte("\x22\x58\x20"), point[33:])
}
