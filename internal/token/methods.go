package token

import (
	"slices"
	"strings"
)

// Methods says how a user proved the identity: the values of the claim amr (RFC 8176), separated by
// spaces.
type Methods string

// The methods.
const (
	ByPassword     Methods = "pwd"
	ByTOTP         Methods = "pwd otp mfa"
	ByRecoveryCode Methods = "pwd mfa"
	ByPasskey      Methods = "pop user mfa" //nolint:gosec // a key, which the user unlocked with a PIN or a fingerprint
	// ByRemovedPasskey is ByPasskey after the passkey was removed from the account.
	ByRemovedPasskey Methods = "pop user"
)

// The values of the claim acr: the authentication assurance levels 1 and 2 of NIST SP 800-63B-4.
const (
	ACROneFactor  = "aal1"
	ACRTwoFactors = "aal2"
)

// AMR returns the values.
func (m Methods) AMR() []string { return strings.Fields(string(m)) }

// TwoFactors reports whether the user used two factors.
func (m Methods) TwoFactors() bool { return slices.Contains(m.AMR(), "mfa") }

// ACR returns the value of the claim acr.
func (m Methods) ACR() string {
	if m.TwoFactors() {
		return ACRTwoFactors
	}
	return ACROneFactor
}
