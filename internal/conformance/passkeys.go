package conformance

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

var startPasskeyRegistrationChecks = []check{
	{operation: "startPasskeyRegistration", name: "success", run: checkPasskeyOptions},
}

var finishPasskeyRegistrationChecks = []check{
	{operation: "finishPasskeyRegistration", name: "success", run: checkAddPasskey},
	{operation: "finishPasskeyRegistration", name: "passkeys that are not accepted", run: checkAddRefuses},
}

var listPasskeysChecks = []check{
	{operation: "listPasskeys", name: "success", run: checkListPasskeys},
}

var renamePasskeyChecks = []check{
	{operation: "renamePasskey", name: "success", run: checkRenamePasskey},
	{operation: "renamePasskey", name: "unknown passkey", run: checkRenameRefuses},
}

var deletePasskeyChecks = []check{
	{operation: "deletePasskey", name: "success", run: checkDeletePasskey},
	{operation: "deletePasskey", name: "unknown passkey", run: checkDeletePasskeyRefuses},
}

// unknownID is the id of nothing.
const unknownID = "00000000-0000-4000-8000-000000000000"

func startPasskey(access string) call {
	return call{method: http.MethodPost, path: "/auth/passkey-options", bearer: access}
}

func finishPasskey(access, name string, credential map[string]any) call {
	return postAs(access, "/auth/passkeys", "name", name, "credential", credential)
}

func listPasskeys(access string) call {
	return call{method: http.MethodGet, path: "/auth/passkeys", bearer: access}
}

func renamePasskey(access, id, name string) call {
	c := postAs(access, "/auth/passkeys/"+id, "name", name)
	c.method = http.MethodPatch
	return c
}

func deletePasskey(access, id string) call {
	return call{method: http.MethodDelete, path: "/auth/passkeys/" + id, bearer: access}
}

// passkeyOptions returns the options for a new passkey.
func (s *suite) passkeyOptions(access string) response {
	return s.expect(http.StatusOK, startPasskey(access))
}

// passkey returns the passkey of the run. The first check that needs it adds it to the account.
func (s *suite) passkey() *authenticator {
	if s.device != nil {
		return s.device
	}
	s.needs("listPasskeys", "deletePasskey")
	access := s.logIn().access
	options := s.passkeyOptions(access)
	device := newAuthenticator(s.passkeyOrigin(options.text("rp", "id")))
	answer := finishPasskey(access, s.passkeyName, device.create(options))
	r := s.afterLimit(s.send(answer), answer)
	s.require(r.status != http.StatusForbidden || r.text("code") != "invalid_passkey",
		"a passkey that was made on a page of %s must be accepted: if the deployment allows only other origins "+
			"(SESAME_PASSKEY_ORIGINS), name one with --passkey-origin, or leave out finishPasskeyRegistration with --skip",
		device.origin)
	s.explain(r)
	s.require(r.status == http.StatusOK, "the status must be %d", http.StatusOK)
	if device.id = r.text("id"); r.status == http.StatusOK {
		s.device, device.registration = device, answer // also after a breach
	}
	s.require(r.text("name") == s.passkeyName, "the name must be the submitted one")
	return device
}

// listed returns the names of the passkeys of the account, by id, and the ids in order.
func (s *suite) listed(access string) (names map[string]string, ids []string) {
	names = make(map[string]string)
	list, _ := s.expect(http.StatusOK, listPasskeys(access)).body["passkeys"].([]any)
	for _, entry := range list {
		passkey, _ := entry.(map[string]any)
		id, _ := passkey["id"].(string)
		name, _ := passkey["name"].(string)
		names[id] = name
		ids = append(ids, id)
	}
	return names, ids
}

// mayHavePasskeys reports whether the run may have added a passkey, also one that the server
// refused, or had to refuse.
func (s *suite) mayHavePasskeys() bool {
	return len(s.report.Took("startPasskeyRegistration", http.StatusOK)) > 0
}

// removePasskeys removes the passkeys that the run has added.
func (s *suite) removePasskeys() {
	access := s.logIn().access
	names, ids := s.listed(access)
	for _, id := range ids {
		if strings.HasPrefix(names[id], s.passkeyName) {
			s.expect(http.StatusOK, deletePasskey(access, id))
		}
	}
}

// checkPasskeyOptions requires that the authenticator has to check the user, and to store the
// passkey so that a login need not name the account.
func checkPasskeyOptions(s *suite) {
	access := s.logIn().access
	r := s.passkeyOptions(access)
	for _, want := range []struct {
		path  []string
		value string
	}{
		{[]string{"authenticatorSelection", "userVerification"}, "required"},
		{[]string{"authenticatorSelection", "residentKey"}, "required"},
		{[]string{"attestation"}, "none"},
		{[]string{"user", "name"}, s.registered().email},
	} {
		s.require(r.text(want.path...) == want.value, "%s must be %s", strings.Join(want.path, "."), want.value)
	}
	algorithms, _ := r.body["pubKeyCredParams"].([]any)
	s.require(slices.ContainsFunc(algorithms, func(entry any) bool {
		algorithm, _ := entry.(map[string]any)
		return algorithm["alg"] == -7.0
	}), "pubKeyCredParams must contain ES256 (-7)")
	s.requireChallenges(r, s.passkeyOptions(access))
}

// requireChallenges requires that the options of two ceremonies have different challenges that
// cannot be guessed.
func (s *suite) requireChallenges(a, b response) {
	challenge, err := base64url.DecodeString(a.text("challenge"))
	s.require(err == nil && len(challenge) >= 16, "the challenge must be base64url of at least 16 bytes")
	s.require(a.text("challenge") != b.text("challenge"), "each challenge must be a new one")
}

// checkAddPasskey requires that the answer to the options works once, and that the options name the
// passkey, so that a device does not make a second one.
func checkAddPasskey(s *suite) {
	device := s.passkey()
	s.refuse(http.StatusForbidden, "invalid_passkey", device.registration)
	access := s.logIn().access
	options := s.passkeyOptions(access)
	excluded, _ := options.body["excludeCredentials"].([]any)
	s.require(slices.ContainsFunc(excluded, func(entry any) bool {
		credential, _ := entry.(map[string]any)
		return credential["id"] == base64url.EncodeToString(device.credential)
	}), "excludeCredentials must contain the passkey")
	s.refuse(http.StatusConflict, "passkey_exists", finishPasskey(access, s.passkeyName, device.create(options)))
}

// checkAddRefuses requires that a passkey is made on an allowed page, by an authenticator that has
// checked the user, and in the session that got the options.
func checkAddRefuses(s *suite) {
	origin := s.passkey().origin
	t, other := s.logIn(), s.logIn()
	for _, invalid := range []struct {
		origin     string
		unverified bool
		access     string
	}{
		{otherOrigin(), false, t.access}, {origin, true, t.access}, {origin, false, other.access},
	} {
		device := newAuthenticator(invalid.origin)
		device.unverified = invalid.unverified
		answer := finishPasskey(invalid.access, s.passkeyName, device.create(s.passkeyOptions(t.access)))
		s.refuse(http.StatusForbidden, "invalid_passkey", answer)
	}
	s.used(t)
}

func checkListPasskeys(s *suite) {
	device := s.passkey()
	names, ids := s.listed(s.logIn().access)
	s.require(names[device.id] == s.passkeyName, "the list must contain the passkey with its name")
	s.require(len(ids) > 0 && ids[len(ids)-1] == device.id, "the last passkey must be the newest one")
}

func checkRenamePasskey(s *suite) {
	device, access := s.passkey(), s.logIn().access
	name := s.passkeyName + " 2"
	r := s.expect(http.StatusOK, renamePasskey(access, device.id, name))
	s.require(r.text("id") == device.id && r.text("name") == name, "the passkey must have the new name")
	names, _ := s.listed(access)
	s.require(names[device.id] == name, "the list must contain the passkey with its new name")
}

// checkRenameRefuses requires that an unknown id and a malformed one return the same response.
func checkRenameRefuses(s *suite) {
	access := s.logIn().access
	unknown := s.refuse(http.StatusNotFound, "not_found", renamePasskey(access, unknownID, "x"))
	malformed := s.refuse(http.StatusNotFound, "not_found", renamePasskey(access, "x", "x"))
	s.require(alike(unknown, malformed), "an unknown passkey and a malformed id must return the same response")
	s.refuse(http.StatusBadRequest, "validation_failed", renamePasskey(access, unknownID, ""))
}

// checkDeletePasskey requires that the passkey does not log in any more.
func checkDeletePasskey(s *suite) {
	device, access := s.passkey(), s.logIn().access
	r := s.expect(http.StatusOK, deletePasskey(access, device.id))
	s.refusePasskey(device.sign(s.passkeyLoginOptions()))
	names, _ := s.listed(access)
	if _, remains := names[device.id]; !remains && r.status == http.StatusOK {
		s.device = nil
	} else {
		s.require(false, "the list must not contain the passkey")
	}
}

func checkDeletePasskeyRefuses(s *suite) {
	access := s.logIn().access
	s.refuse(http.StatusNotFound, "not_found", deletePasskey(access, unknownID))
	s.refuse(http.StatusBadRequest, "validation_failed", deletePasskey(access, strings.Repeat("a", 65)))
}

// otherOrigin returns an origin that no deployment allows.
func otherOrigin() string { return "https://" + strings.ToLower(rand.Text()) + ".invalid" }
