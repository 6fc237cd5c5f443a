package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// optional starts a server that emails links to verify an email, and requires none.
func optional(t *testing.T, engine databasetest.Engine) *servertest.Server {
	t.Helper()
	return servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOptional})
}

// verifyAs marks the email of a user as verified or not, like an operator.
func verifyAs(t *testing.T, s *servertest.Server, email string, verified bool) {
	t.Helper()
	user := findUser(t, s, email)
	change := s.Auth.VerifyUser
	if !verified {
		change = s.Auth.UnverifyUser
	}
	if _, err := change(t.Context(), user.ID); err != nil {
		t.Fatal(err)
	}
}

func findUser(t *testing.T, s *servertest.Server, email string) *auth.User {
	t.Helper()
	user, err := s.Auth.FindUser(t.Context(), email)
	if err != nil {
		t.Fatalf("%s: %v", email, err)
	}
	return user
}

// verifiedUser registers a user and marks the email as verified.
func verifiedUser(t *testing.T, s *servertest.Server) string {
	t.Helper()
	email := s.NewUser(t)
	verifyAs(t, s, email, true)
	return email
}

// newLink requests a link for an email and returns its token.
func newLink(t *testing.T, s *servertest.Server, email, page string) string {
	t.Helper()
	request := s.ForgotPassword
	if page == "verify-email" {
		request = s.SendVerificationEmail
	}
	expectStatus(t, request(t, email), 202)
	return s.Token(t, s.Inbox(t), email, page)
}

func expectCode(t *testing.T, response servertest.Response, status int, code string) {
	t.Helper()
	if response.Status != status || response.Code() != code {
		t.Errorf("got %d %s, want %d %s", response.Status, response.Raw, status, code)
	}
}

func expectVerified(t *testing.T, s *servertest.Server, email string, want bool) {
	t.Helper()
	if user := findUser(t, s, email); user.EmailVerified() != want {
		t.Errorf("%s: verified %v, want %v", email, user.EmailVerified(), want)
	}
}

// A registration emails a link. With the password, it verifies the email, once, for a day. A newer
// link replaces it.
func TestVerifyEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		s.Clock.Stop()
		email := s.NewUser(t)
		first := s.Token(t, s.Inbox(t), email, "verify-email")
		session := s.Login(t, email)
		expectClaim := func(want bool) {
			t.Helper()
			if claim, _ := s.Authenticate(t, session.Access).Body["emailVerified"].(bool); claim != want {
				t.Errorf("emailVerified is %v, want %v", claim, want)
			}
		}
		expectClaim(false)
		second := newLink(t, s, email, "verify-email")
		expectCode(t, s.VerifyEmail(t, first, servertest.Password), 401, "invalid_link")
		expectCode(t, s.VerifyEmail(t, second, wrong), 403, "incorrect_password")
		expectVerified(t, s, email, false)
		s.Clock.Advance(24*time.Hour - time.Second)
		expectStatus(t, s.VerifyEmail(t, second, servertest.Password), 200)
		expectCode(t, s.VerifyEmail(t, second, servertest.Password), 401, "invalid_link")
		session = s.Refresh(t, session.Refresh)
		expectClaim(true)

		other := s.NewUser(t)
		late := s.Token(t, s.Inbox(t), other, "verify-email")
		s.Clock.Advance(24 * time.Hour)
		expectCode(t, s.VerifyEmail(t, late, servertest.Password), 401, "invalid_link")
		expectVerified(t, s, other, false)
	})
}

// Requesting a link returns the same response for every email. Only one with an account that is
// neither verified nor disabled gets it.
func TestVerificationDoesNotRevealAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		unverified, verified, disabled := s.NewUser(t), verifiedUser(t, s), s.NewUser(t)
		if _, err := s.Auth.DisableUser(t.Context(), findUser(t, s, disabled).ID); err != nil {
			t.Fatal(err)
		}
		s.Inbox(t)
		want := withoutID(s.SendVerificationEmail(t, unverified))
		for _, email := range []string{verified, disabled, "nobody@example.com"} {
			if got := withoutID(s.SendVerificationEmail(t, email)); got != want {
				t.Errorf("%s: %s, want %s", email, got, want)
			}
		}
		if inbox := s.Inbox(t); len(inbox) != 1 || inbox[0].To != unverified || inbox[0].LinkTo() != "verify-email" {
			t.Errorf("%d emails: %+v", len(inbox), inbox)
		}
	})
}

// Without verification there are no links: not at registration, and not if one is requested.
func TestVerificationOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOff})
		email := s.NewUser(t)
		expectStatus(t, s.SendVerificationEmail(t, email), 202)
		expectStatus(t, s.SendVerificationEmail(t, "nobody@example.com"), 202)
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails: %+v", inbox)
		}
	})
}

// An attacker registers the email of a victim, logs in, and waits for the click (PocketBase
// CVE-2026-44166, better-auth GHSA-qq9h-g4jm-xgf3). The click changes nothing without the password
// of the account. The victim resets it, and the attacker has nothing left: no session, no known
// network, no link, no pending change, no password.
func TestStrangerRegistersAnEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{
			EmailVerification: auth.VerificationOptional, Throttle: true, BehindProxy: true,
		})
		const victim, strangers, attackers = "victim@example.com", "stranger@example.com", "198.51.100.1"
		expectStatus(t, s.Register(t, victim), 201)
		verification := s.Token(t, s.Inbox(t), victim, "verify-email")
		session := s.Login(t, victim)
		expectStatus(t, loginFrom(t, s, attackers, victim, servertest.Password), 200)
		expectStatus(t, s.ChangeEmail(t, session.Access, strangers), 202)
		pending := s.Token(t, s.Inbox(t), strangers, "confirm-email-change")

		for _, guess := range []string{"the victim's own password", ""} {
			expectCode(t, s.VerifyEmail(t, verification, guess), 403, "incorrect_password")
		}
		withoutPassword := s.Post(t, "/auth/verify-email", "token", verification)
		expectCode(t, withoutPassword, 400, "validation_failed")
		expectStatus(t, s.CheckEmailLink(t, verification), 200)
		expectVerified(t, s, victim, false)

		const owners = "a password of the owner"
		reset := newLink(t, s, victim, "reset-password")
		expectStatus(t, s.ResetPassword(t, reset, owners), 200)
		expectVerified(t, s, victim, true)
		s.RequireEnded(t, session)
		for _, token := range []string{verification, pending, reset} {
			expectCode(t, s.CheckEmailLink(t, token), 401, "invalid_link")
		}
		for _, guess := range []string{servertest.Password, owners} {
			expectCode(t, s.ConfirmEmailChange(t, pending, guess), 401, "invalid_link")
			expectCode(t, s.VerifyEmail(t, verification, guess), 401, "invalid_link")
		}
		expectCode(t, loginFrom(t, s, attackers, victim, servertest.Password), 401, "invalid_credentials")
		owner := s.Post(t, "/auth/login", "email", victim, "password", owners)
		if pending := s.Account(t, owner.Text("accessToken")).Body["pendingEmail"]; pending != nil {
			t.Errorf("a change to %v is pending", pending)
		}
		if networks := knownNetworks(t, s); networks != 1 { // that of the reset
			t.Errorf("%d known networks", networks)
		}
	})
}

func knownNetworks(t *testing.T, s *servertest.Server) (rows int64) {
	t.Helper()
	if err := s.DB.WithContext(t.Context()).Model(&auth.KnownNetwork{}).Count(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

// A reset with an emailed link proves that the user owns the email. One with a link that an operator
// passed on does not, nor one with a link to an email that the user had before.
func TestWhatAResetProves(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email := s.NewUser(t)
		link, err := s.Auth.ResetLink(t.Context(), findUser(t, s, email).ID)
		if err != nil {
			t.Fatal(err)
		}
		token := link[len(servertest.PublicURL+"/reset-password#token="):]
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200)
		expectVerified(t, s, email, false)

		old, next := newLink(t, s, email, "reset-password"), "new-"+email
		err = s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", email).
			UpdateColumn("email", next).Error // without what else a change does
		if err != nil {
			t.Fatal(err)
		}
		expectCode(t, s.ResetPassword(t, old, servertest.Password), 401, "invalid_link")
		expectVerified(t, s, next, false)
		expectStatus(t, s.ResetPassword(t, newLink(t, s, next, "reset-password"), servertest.Password), 200)
		expectVerified(t, s, next, true)
	})
}

// links are a valid token of one account for each purpose.
type links struct {
	email  string // of the account
	tokens map[string]string
}

// everyLink makes an account with a valid token for each purpose.
func everyLink(t *testing.T, s *servertest.Server) links {
	t.Helper()
	first := verifiedUser(t, s)
	made := links{email: "current-" + first, tokens: make(map[string]string)}
	access := s.Login(t, first).Access
	expectStatus(t, s.ChangeEmail(t, access, made.email), 202)
	confirm := s.Token(t, s.Inbox(t), made.email, "confirm-email-change")
	expectStatus(t, s.ConfirmEmailChange(t, confirm, servertest.Password), 200)
	made.tokens["undo-email-change"] = s.Token(t, s.Inbox(t), first, "undo-email-change")

	next := "next-" + first
	expectStatus(t, s.ChangeEmail(t, access, next), 202)
	made.tokens["confirm-email-change"] = s.Token(t, s.Inbox(t), next, "confirm-email-change")
	verifyAs(t, s, made.email, false)
	for _, page := range []string{"verify-email", "reset-password"} {
		made.tokens[page] = newLink(t, s, made.email, page)
	}
	return made
}

// A token is worth nothing for another purpose: a link to verify an email must not reset the password
// (authentik CVE-2023-26481). Checking a link names its purpose and uses nothing up.
func TestPurposesOfLinks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		// In this order, none of the operations makes the links of the later ones invalid.
		operations := []string{"verify-email", "confirm-email-change", "undo-email-change", "reset-password"}
		use := func(operation, token string) servertest.Response {
			switch operation {
			case "verify-email":
				return s.VerifyEmail(t, token, servertest.Password)
			case "confirm-email-change":
				return s.ConfirmEmailChange(t, token, servertest.Password)
			case "undo-email-change":
				return s.UndoEmailChange(t, token)
			default:
				return s.ResetPassword(t, token, servertest.Password)
			}
		}
		made := everyLink(t, s)
		before := *findUser(t, s, made.email)
		for _, operation := range operations {
			for purpose, token := range made.tokens {
				if purpose != operation {
					expectCode(t, use(operation, token), 401, "invalid_link")
				}
			}
		}
		after := *findUser(t, s, made.email)
		if after.Generation != before.Generation || after.PasswordHash != before.PasswordHash || after.EmailVerified() {
			t.Errorf("the account has changed: %+v, before %+v", after, before)
		}
		for purpose, token := range made.tokens {
			for range 2 {
				checked := s.CheckEmailLink(t, token)
				expires, err := time.Parse(time.RFC3339, checked.Text("expiresAt"))
				if checked.Status != http.StatusOK || checked.Text("purpose") != purpose || err != nil ||
					!expires.After(s.Clock.Now()) {
					t.Errorf("%s: %d %s", purpose, checked.Status, checked.Raw)
				}
			}
		}
		expectCode(t, s.CheckEmailLink(t, "unknown"), 401, "invalid_link")

		for _, operation := range operations {
			fresh := everyLink(t, s)
			expectStatus(t, use(operation, fresh.tokens[operation]), 200)
			expectCode(t, use(operation, fresh.tokens[operation]), 401, "invalid_link")
			expectCode(t, s.CheckEmailLink(t, fresh.tokens[operation]), 401, "invalid_link")
		}
	})
}

// A link for one account acts on no other: the password that it needs is that of its own account, and
// the links of others stay valid.
func TestLinksOfOtherAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		one, other := everyLink(t, s), everyLink(t, s)
		const password = "the other's password"
		admin := s.Auth.SetPassword
		if err := admin(t.Context(), findUser(t, s, other.email).ID, password); err != nil {
			t.Fatal(err)
		}
		expectCode(t, s.VerifyEmail(t, one.tokens["verify-email"], password), 403, "incorrect_password")
		expectCode(t, s.ConfirmEmailChange(t, one.tokens["confirm-email-change"], password), 403, "incorrect_password")
		untouched := *findUser(t, s, other.email)
		expectStatus(t, s.VerifyEmail(t, one.tokens["verify-email"], servertest.Password), 200)
		expectStatus(t, s.UndoEmailChange(t, one.tokens["undo-email-change"]), 200)
		if after := *findUser(t, s, other.email); after.Generation != untouched.Generation || after.EmailVerified() {
			t.Errorf("the other account has changed: %+v", after)
		}
		expectStatus(t, s.UndoEmailChange(t, other.tokens["undo-email-change"]), 200)
	})
}

// An account that was disabled has no valid links.
func TestLinksOfADisabledUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		made := everyLink(t, s)
		err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", made.email).
			UpdateColumn("disabled_at", s.Clock.Now()).Error // without what else disabling does
		if err != nil {
			t.Fatal(err)
		}
		for purpose, token := range made.tokens {
			if response := s.CheckEmailLink(t, token); response.Status != http.StatusUnauthorized {
				t.Errorf("%s: %d", purpose, response.Status)
			}
		}
		expectCode(t, s.VerifyEmail(t, made.tokens["verify-email"], servertest.Password), 401, "invalid_link")
		expectCode(t, s.UndoEmailChange(t, made.tokens["undo-email-change"]), 401, "invalid_link")
	})
}

// Of parallel requests with the same link, exactly one succeeds.
func TestLinksRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		for purpose, use := range map[string]func(token string) servertest.Response{
			"verify-email": func(token string) servertest.Response { return s.VerifyEmail(t, token, servertest.Password) },
			"confirm-email-change": func(token string) servertest.Response {
				return s.ConfirmEmailChange(t, token, servertest.Password)
			},
			"undo-email-change": func(token string) servertest.Response { return s.UndoEmailChange(t, token) },
		} {
			token := everyLink(t, s).tokens[purpose]
			count := countStatuses(atOnce(10, func() servertest.Response { return use(token) }))
			if count[200] != 1 || count[401] != 9 {
				t.Errorf("%s: %v", purpose, count)
			}
		}
	})
}

// required starts a server on which users have to verify their email before they log in.
func required(t *testing.T, engine databasetest.Engine, registration auth.RegistrationMode) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, engine, servertest.Options{
		EmailVerification: auth.VerificationRequired, Registration: registration, Throttle: true, BehindProxy: true,
	})
	s.Clock.Stop()
	return s
}

// If verified emails are required, the right password of an unverified one returns a code of its own,
// and nothing else: no session, no known network, and no attempt is counted. A wrong password is
// refused as always.
func TestVerificationRequired(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := required(t, engine, auth.RegistrationOpen)
		email := s.NewUser(t)
		token := s.Token(t, s.Inbox(t), email, "verify-email")
		const client = "192.0.2.1"
		for range 9 { // one less than the limit for an email and network
			expectCode(t, loginFrom(t, s, client, email, wrong), 401, "invalid_credentials")
		}
		for range 3 {
			expectCode(t, loginFrom(t, s, client, email, servertest.Password), 403, "email_not_verified")
		}
		var sessions int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Count(&sessions).Error; err != nil {
			t.Fatal(err)
		}
		if networks := knownNetworks(t, s); sessions != 0 || networks != 0 {
			t.Errorf("%d sessions, %d known networks", sessions, networks)
		}
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails after the logins: %+v", inbox)
		}
		expectStatus(t, s.VerifyEmail(t, token, servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, client, email, servertest.Password), 200)

		other := s.NewUser(t) // a reset verifies, too
		s.Inbox(t)
		expectStatus(t, s.ResetPassword(t, newLink(t, s, other, "reset-password"), servertest.Password), 200)
		s.Login(t, other)
	})
}

// A network can send 30 invalid tokens a minute, to all operations on links together. It can still
// check a valid one.
func TestLimitOfInvalidLinks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{
			EmailVerification: auth.VerificationOptional, Throttle: true, BehindProxy: true,
		})
		s.Clock.Stop()
		email := s.NewUser(t)
		token := s.Token(t, s.Inbox(t), email, "verify-email")
		calls := []func(client, token string) servertest.Response{
			func(client, token string) servertest.Response {
				return servertest.Call{Path: "/auth/verify-email", IP: client}.Send(t, s, "token", token, "password", wrong)
			},
			func(client, token string) servertest.Response {
				return servertest.Call{Path: "/auth/confirm-email-change", IP: client}.
					Send(t, s, "token", token, "password", wrong)
			},
			func(client, token string) servertest.Response {
				return servertest.Call{Path: "/auth/undo-email-change", IP: client}.Send(t, s, "token", token)
			},
			func(client, token string) servertest.Response {
				return servertest.Call{Path: "/auth/check-email-link", IP: client}.Send(t, s, "token", token)
			},
		}
		for i, call := range calls {
			client := fmt.Sprintf("192.0.%d.1", i)
			for range 30 {
				expectCode(t, call(client, "unknown"), 401, "invalid_link")
			}
			expectThrottled(t, call(client, "unknown"), "2")
			for _, other := range calls { // they share the budget
				expectThrottled(t, other(client, "unknown"), "2")
			}
			checked := servertest.Call{Path: "/auth/check-email-link", IP: client}.Send(t, s, "token", token)
			expectStatus(t, checked, 200)
		}
		expectStatus(t, s.VerifyEmail(t, token, servertest.Password), 200)
	})
}
