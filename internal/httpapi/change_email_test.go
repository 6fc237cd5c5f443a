package httpapi_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A subject of each email about a change of the email.
const (
	aboutToChange = "Your Sesame email is about to change"
	confirmNew    = "Confirm your new email for Sesame"
	wasChanged    = "Your Sesame email was changed"
	alreadyHas    = "You already have an account at Sesame"
)

// loginWith logs in with Password, or fails with a status.
func loginWith(t *testing.T, s *servertest.Server, email string) servertest.Response {
	t.Helper()
	return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
}

func expectSubjects(t *testing.T, inbox servertest.Inbox, to string, want ...string) {
	t.Helper()
	if got := inbox.Subjects(to); !slices.Equal(got, want) {
		t.Errorf("emails to %s: %q, want %q", to, got, want)
	}
}

func expectErrors(t *testing.T, response servertest.Response, want ...string) {
	t.Helper()
	if got := response.Errors(); response.Status != 400 || !slices.Equal(got, want) {
		t.Errorf("got %d %q, want %q", response.Status, got, want)
	}
}

// The new email gets a link, and the current one a notice without a link. Nothing changes until the
// link is used with the password. Then the new email is that of the account, sessions continue, and
// links to the old email are invalid.
func TestChangeEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email := s.NewUser(t)
		const next, typo = "next@example.com", "nxet@example.com"
		outstanding := s.Token(t, s.Inbox(t), email, "verify-email")
		session := s.Login(t, email)
		change := servertest.Call{Path: "/auth/change-email", AccessToken: session.Access}

		sameEmail := "/email not_allowed: The account has this email already."
		expectErrors(t, s.ChangeEmail(t, session.Access, strings.ToUpper(email)), sameEmail)
		expectErrors(t, change.Send(t, s, "email", next), "/password required: This value is required.")
		expectCode(t, change.Send(t, s, "email", next, "password", wrong), 403, "incorrect_password")
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails after refused requests: %+v", inbox)
		}

		expectStatus(t, s.ChangeEmail(t, session.Access, typo), 202)
		older := s.Token(t, s.Inbox(t), typo, "confirm-email-change")
		expectStatus(t, s.ChangeEmail(t, session.Access, strings.ToUpper(next)), 202)
		inbox := s.Inbox(t)
		expectSubjects(t, inbox, email, aboutToChange)
		expectSubjects(t, inbox, next, confirmNew)
		for _, sent := range inbox {
			if sent.To == email && sent.LinkTo() != "" {
				t.Errorf("the notice contains a token:\n%s", sent.Raw)
			}
		}
		token := s.Token(t, inbox, next, "confirm-email-change")
		expectCode(t, s.ConfirmEmailChange(t, older, servertest.Password), 401, "invalid_link")
		account := s.Account(t, session.Access)
		if account.Text("email") != email || account.Text("pendingEmail") != next {
			t.Errorf("before the confirmation: %s", account.Raw)
		}
		expectStatus(t, loginWith(t, s, next), 401)
		reset := newLink(t, s, email, "reset-password")

		verifyAs(t, s, email, true) // as the link that is outstanding would
		withoutPassword := s.Post(t, "/auth/confirm-email-change", "token", token)
		expectErrors(t, withoutPassword, "/password required: This value is required.")
		expectCode(t, s.ConfirmEmailChange(t, token, wrong), 403, "incorrect_password")
		expectStatus(t, s.ConfirmEmailChange(t, token, servertest.Password), 200)
		expectCode(t, s.ConfirmEmailChange(t, token, servertest.Password), 401, "invalid_link")
		account = s.Account(t, s.RequireActive(t, session).Access)
		if account.Text("email") != next || account.Body["pendingEmail"] != nil {
			t.Errorf("after the confirmation: %s", account.Raw)
		}
		expectVerified(t, s, next, true)
		expectStatus(t, loginWith(t, s, next), 200)
		expectStatus(t, loginWith(t, s, email), 401)
		for _, token := range []string{outstanding, reset, older} {
			expectCode(t, s.CheckEmailLink(t, token), 401, "invalid_link")
		}
		inbox = s.Inbox(t)
		expectSubjects(t, inbox, email, wasChanged)
		expectSubjects(t, inbox, next)
	})
}

// A stranger changes his account to the email of a victim, and waits for the click (PocketBase
// CVE-2026-44166). It changes nothing without the stranger's password. The victim can register the
// email all the same, and then the link is worth nothing even with the password.
func TestStrangerChangesToAnEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		const victim = "victim@example.com"
		stranger := verifiedUser(t, s)
		session := s.Login(t, stranger)
		expectStatus(t, s.ChangeEmail(t, session.Access, victim), 202)
		token := s.Token(t, s.Inbox(t), victim, "confirm-email-change")
		for _, guess := range []string{"the victim's own password", ""} {
			expectCode(t, s.ConfirmEmailChange(t, token, guess), 403, "incorrect_password")
		}
		expectStatus(t, s.Post(t, "/auth/confirm-email-change", "token", token), 400)
		if account := s.Account(t, session.Access); account.Text("email") != stranger {
			t.Errorf("the stranger has the email: %s", account.Raw)
		}
		expectStatus(t, s.ForgotPassword(t, victim), 202) // there is no account with it
		expectStatus(t, s.SendVerificationEmail(t, victim), 202)
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails: %+v", inbox)
		}

		expectStatus(t, s.Register(t, victim), 201)
		expectCode(t, s.ConfirmEmailChange(t, token, servertest.Password), 401, "invalid_link")
		if account := s.Account(t, session.Access); account.Text("email") != stranger {
			t.Errorf("the stranger has the email: %s", account.Raw)
		}
		expectStatus(t, loginWith(t, s, victim), 200)
	})
}

// Canceling makes the link invalid, also if the email is sent only after that (better-auth 7196).
// Then there is not even a notice to the owner of an email that has an account.
func TestCancelEmailChange(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email, owner := s.NewUser(t), s.NewUser(t)
		session := s.Login(t, email)
		for _, next := range []string{"next@example.com", owner} {
			expectStatus(t, s.ChangeEmail(t, session.Access, next), 202)
			inbox := s.Inbox(t)
			expectStatus(t, s.CancelEmailChange(t, session.Access), 200)
			expectStatus(t, s.CancelEmailChange(t, session.Access), 200)
			if next != owner {
				token := s.Token(t, inbox, next, "confirm-email-change")
				expectCode(t, s.ConfirmEmailChange(t, token, servertest.Password), 401, "invalid_link")
			}
			if account := s.Account(t, session.Access); account.Body["pendingEmail"] != nil || account.Text("email") != email {
				t.Errorf("after the cancel: %s", account.Raw)
			}
			late := &mail.Entry{Kind: "confirm-email-change", Email: next, UserID: findUser(t, s, email).ID}
			message, err := s.Auth.Emails()["confirm-email-change"](t.Context(), late)
			if message != nil || err != nil {
				t.Errorf("an email to %s after the cancel: %+v, %v", next, message, err)
			}
		}
	})
}

// A change to an email that has an account returns the same response. The owner gets a notice without
// a link to confirm, and nothing changes.
func TestChangeEmailToOneInUse(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email, owner := s.NewUser(t), s.NewUser(t)
		session := s.Login(t, email)
		s.Inbox(t)
		free := s.ChangeEmail(t, session.Access, "free@example.com")
		s.Inbox(t)
		inUse := s.ChangeEmail(t, session.Access, owner)
		if free.Status != 202 || withoutID(free) != withoutID(inUse) {
			t.Errorf("free: %d %s\nin use: %d %s", free.Status, free.Raw, inUse.Status, inUse.Raw)
		}
		if account := s.Account(t, session.Access); account.Text("pendingEmail") != owner {
			t.Errorf("the account shows the difference: %s", account.Raw)
		}
		inbox := s.Inbox(t)
		expectSubjects(t, inbox, owner, alreadyHas)
		expectSubjects(t, inbox, email, aboutToChange)
		for _, sent := range inbox {
			if sent.LinkTo() != "" {
				t.Errorf("a token in an email to %s:\n%s", sent.To, sent.Raw)
			}
		}
	})
}

// If the old email was never verified, there is no link to undo the change: the email may belong to
// somebody who does not know the account. It is free for others at once.
func TestChangeOfAnUnverifiedEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email := s.NewUser(t)
		session := s.Login(t, email)
		const next = "next@example.com"
		expectStatus(t, s.ChangeEmail(t, session.Access, next), 202)
		token := s.Token(t, s.Inbox(t), next, "confirm-email-change")
		expectStatus(t, s.ConfirmEmailChange(t, token, servertest.Password), 200)
		inbox := s.Inbox(t)
		expectSubjects(t, inbox, email, wasChanged)
		if inbox[0].LinkTo() != "" || strings.Contains(inbox[0].Raw, "Undo") {
			t.Errorf("a link to undo the change:\n%s", inbox[0].Raw)
		}
		expectStatus(t, s.Register(t, email), 201)
	})
}

// A change that is requested while the password is replaced, with the old one, leaves nothing behind.
// The password of this request is hashed before, and the change is stored after the reset.
func TestChangeEmailDuringAReset(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		email := s.NewUser(t)
		session := s.Login(t, email)
		access, err := s.Auth.Authenticate(t.Context(), session.Access)
		if err != nil {
			t.Fatal(err)
		}
		reset := newLink(t, s, email, "reset-password")
		expectStatus(t, s.ResetPassword(t, reset, servertest.Password), 200)
		access.User.PasswordHash = findUser(t, s, email).PasswordHash // the old password was right before the reset
		err = s.Auth.ChangeEmail(t.Context(), access, "next@example.com", servertest.Password, auth.Client{IP: "192.0.2.1"})
		if !errors.Is(err, auth.ErrInvalidAccessToken) {
			t.Errorf("the change returns %v", err)
		}
		if account := s.Account(t, s.Login(t, email).Access); account.Body["pendingEmail"] != nil {
			t.Errorf("a change is pending: %s", account.Raw)
		}
	})
}
