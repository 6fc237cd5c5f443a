package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
)

// Device is a browser with a passkey.
type Device struct {
	Page          virtualwebauthn.RelyingParty // what the browser says about the page
	Authenticator virtualwebauthn.Authenticator
	Credential    virtualwebauthn.Credential
	ID            string // of the passkey, once it is registered
}

// NewDevice returns a device with a new credential that is synchronized, on a page of the public
// URL.
func NewDevice() *Device {
	d := &Device{
		Page:          virtualwebauthn.RelyingParty{ID: RPID, Name: "Sesame", Origin: PublicURL},
		Authenticator: virtualwebauthn.NewAuthenticator(),
		Credential:    newCredential(),
	}
	d.Authenticator.Options.BackupEligible, d.Authenticator.Options.BackupState = true, true
	return d
}

// newCredential returns a credential for ES256. The library writes coordinates without leading
// zeros, and thus one in 128 of its own keys in an invalid form.
func newCredential() virtualwebauthn.Credential {
	for {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // never: crypto/rand does not fail
		}
		point, err := key.PublicKey.Bytes() // 4 ‖ x ‖ y
		if err != nil || point[1] == 0 || point[33] == 0 {
			continue
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err) // never: it is a known type of key
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, encoded)
	}
}

// AddPasskey adds a passkey of a new device to the account of an access token, which must be of a
// recent login.
func (s *Server) AddPasskey(t testing.TB, accessToken string) *Device {
	t.Helper()
	device := NewDevice()
	response := s.FinishPasskey(t, accessToken, device.Create(t, s.PasskeyOptions(t, accessToken)))
	if response.Status != http.StatusOK {
		t.Fatalf("add a passkey: %d %s", response.Status, response.Raw)
	}
	device.ID = response.Text("id")
	return device
}

// PasskeyOptions returns the options for a new passkey.
func (s *Server) PasskeyOptions(t testing.TB, accessToken string) string {
	t.Helper()
	response := s.As(t, accessToken, http.MethodPost, "/auth/passkey-options")
	if response.Status != http.StatusOK {
		t.Fatalf("passkey options: %d %s", response.Status, response.Raw)
	}
	return response.Raw
}

// FinishPasskey sends the credential of a new passkey.
func (s *Server) FinishPasskey(t testing.TB, accessToken string, credential json.RawMessage) Response {
	t.Helper()
	return s.As(t, accessToken, http.MethodPost, "/auth/passkeys", "credential", credential)
}

// Create returns the credential that the browser makes for these options.
func (d *Device) Create(t testing.TB, options string) json.RawMessage {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	d.Authenticator.Options.UserHandle = []byte(parsed.UserID)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(d.Page, d.Authenticator, d.Credential, *parsed))
}

// PasskeyLoginOptions returns the options for a login.
func (s *Server) PasskeyLoginOptions(t testing.TB) string {
	t.Helper()
	response := s.Do(t, http.MethodPost, "/auth/login/passkey/options", "")
	if response.Status != http.StatusOK {
		t.Fatalf("passkey options: %d %s", response.Status, response.Raw)
	}
	return response.Raw
}

// Sign returns the browser's answer to the options for a login.
func (d *Device) Sign(t testing.TB, options string) json.RawMessage {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(d.Page, d.Authenticator, d.Credential, *parsed))
}

// UnknownAssertion returns the answer of a passkey that is not registered, to options of the
// server.
func UnknownAssertion(t testing.TB) json.RawMessage {
	t.Helper()
	challenges := token.NewChallenges([]secret.Secret{Secret}, time.Now)
	device := NewDevice()
	device.Authenticator.Options.UserHandle = make([]byte, 16)
	return device.Sign(t, `{"challenge":"`+challenges.NewText("passkey login", nil)+`"}`)
}

// PasskeyLogin sends the browser's answer.
func (s *Server) PasskeyLogin(t testing.TB, credential json.RawMessage) Response {
	t.Helper()
	return s.Post(t, "/auth/login/passkey", "credential", credential)
}

// LoginWithPasskey logs in with the passkey of a device. It must succeed.
func (s *Server) LoginWithPasskey(t testing.TB, device *Device) Tokens {
	t.Helper()
	return s.tokens(t, s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t))))
}
