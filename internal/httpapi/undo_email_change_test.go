package httpapi_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/token"
)

// changeTo changes the email of a user with Password, and returns the token that undoes it.
func changeTo(t *testing.T, s *servertest.Server, from, to string) (undo string) {
	t.Helper()
	expectStatus(t, s.ChangeEmail(t, s.Login(t, from).Access, to), 202)
	confirm := s.Token(t, s.Inbox(t), to, "confirm-email-change")
	expectStatus(t, s.ConfirmEmailChange(t, confirm, servertest.Password), 200)
	return s.Token(t, s.Inbox(t), from, "undo-email-change")
}

// An attacker who took over an account changes its email twice. The owner restores the first one: all
// sessions end, the password is dead, no link and no pending change is left, and the owner gets a link
// to set a new password.
func TestUndoEmailChange(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		owner := verifiedUser(t, s)
		const attacker, attackers, next = "attacker@example.com", "attacker2@example.com", "attacker3@example.com"
		s.Inbox(t)
		undo := changeTo(t, s, owner, attacker)
		attackersUndo := changeTo(t, s, attacker, attackers)
		session := s.Login(t, attackers)
		reset := newLink(t, s, attackers, "reset-password")
		expectStatus(t, s.ChangeEmail(t, session.Access, next), 202)
		pending := s.Token(t, s.Inbox(t), next, "confirm-email-change")

		expectStatus(t, s.UndoEmailChange(t, undo), 200)
		s.RequireEnded(t, session)
		for _, token := range []string{undo, attackersUndo, reset, pending} {
			expectCode(t, s.CheckEmailLink(t, token), 401, "invalid_link")
		}
		expectCode(t, s.UndoEmailChange(t, attackersUndo), 401, "invalid_link")
		for _, email := range []string{owner, attacker, attackers} {
			expectCode(t, loginWith(t, s, email), 401, "invalid_credentials")
		}
		inbox := s.Inbox(t)
		expectSubjects(t, inbox, owner, "Reset your Sesame password")
		expectSubjects(t, inbox, attackers, wasChanged)
		for _, sent := range inbox {
			if sent.To == attackers && sent.LinkTo() != "" {
				t.Errorf("the attacker gets a token:\n%s", sent.Raw)
			}
		}
		expectVerified(t, s, owner, true)
		if networks := knownNetworks(t, s); networks != 0 {
			t.Errorf("%d known networks", networks)
		}
		token := s.Token(t, inbox, owner, "reset-password")
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200)
		account := s.Account(t, s.Login(t, owner).Access)
		if account.Text("email") != owner || account.Body["pendingEmail"] != nil {
			t.Errorf("after the undo: %s", account.Raw)
		}
		for _, email := range []string{attacker, attackers} { // they are free again
			expectStatus(t, s.Register(t, email), 201)
		}
	})
}

// A link from before the undone change stays valid: an attacker who can read a mailbox in between
// cannot make the link of the owner invalid, also not by going through the owner's email again.
func TestOlderUndoSurvives(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		for _, again := range []bool{false, true} {
			owner := verifiedUser(t, s)
			attacker, attackers := "attacker-"+owner, "attacker2-"+owner
			s.Inbox(t)
			undo := changeTo(t, s, owner, attacker)
			var attackersUndo string
			if again {
				attackersUndo = changeTo(t, s, attacker, owner)
				undo = changeTo(t, s, owner, attackers)
			} else {
				attackersUndo = changeTo(t, s, attacker, attackers)
			}
			expectStatus(t, s.UndoEmailChange(t, attackersUndo), 200)
			if user := findUser(t, s, attacker); !user.EmailVerified() {
				t.Errorf("the attacker's undo: %+v", user)
			}
			expectStatus(t, s.CheckEmailLink(t, undo), 200)
			expectCode(t, s.Register(t, owner), 400, "email_taken")
			expectStatus(t, s.UndoEmailChange(t, undo), 200)
			findUser(t, s, owner)
			expectCode(t, s.CheckEmailLink(t, attackersUndo), 401, "invalid_link")
		}
	})
}

// An undo survives a reset through the new email, a change of the password, an operator's new
// password, and another change of the email.
func TestUndoAfterAReset(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		owner := verifiedUser(t, s)
		s.Inbox(t)
		const attacker = "attacker@example.com"
		undo := changeTo(t, s, owner, attacker)
		expectStatus(t, s.ResetPassword(t, newLink(t, s, attacker, "reset-password"), servertest.Password), 200)
		change := servertest.Call{Path: "/auth/change-password", AccessToken: s.Login(t, attacker).Access}
		const attackers = "the attacker's password"
		expectStatus(t, change.Send(t, s, "currentPassword", servertest.Password, "password", attackers), 200)
		if err := s.Auth.SetPassword(t.Context(), findUser(t, s, attacker).ID, servertest.Password); err != nil {
			t.Fatal(err)
		}
		session := s.Login(t, attacker)
		expectStatus(t, s.UndoEmailChange(t, undo), 200)
		s.RequireEnded(t, session)
		token := s.Token(t, s.Inbox(t), owner, "reset-password")
		expectStatus(t, s.ResetPassword(t, token, servertest.Password), 200)
		s.Login(t, owner)
	})
}

// A change can be undone for seven days. Until then nobody else can have the old email: not by a
// registration, not by a change, not from an operator, and not by an import.
func TestPreviousEmailIsTaken(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		s.Clock.Stop()
		owner, other, attacker := verifiedUser(t, s), verifiedUser(t, s), verifiedUser(t, s)
		s.Inbox(t)
		undo := changeTo(t, s, owner, "next@example.com")
		undoOther := changeTo(t, s, other, "other@example.com")
		id := findUser(t, s, "next@example.com").ID

		expectTaken := func(email string) {
			t.Helper()
			expectCode(t, s.Register(t, email), 400, "email_taken")
			_, err := s.Auth.CreateUser(t.Context(), auth.NewUser{Name: "Eve", Email: email})
			if !errors.Is(err, auth.ErrEmailTaken) {
				t.Errorf("an operator creates a user: %v", err)
			}
			for _, dryRun := range []bool{true, false} {
				outcomes, err := s.Auth.ImportUsers(t.Context(), []auth.ImportedUser{{Name: "Eve", Email: email}}, dryRun)
				if err != nil || !errors.Is(outcomes[0], auth.ErrEmailTaken) {
					t.Errorf("an import: %v, %v", outcomes, err)
				}
			}
			expectStatus(t, s.ChangeEmail(t, s.Login(t, attacker).Access, email), 202)
			if inbox := s.Inbox(t); len(inbox.Subjects(email)) > 0 {
				t.Errorf("emails to %s: %q", email, inbox.Subjects(email))
			}
			if _, err := s.Auth.FindUser(t.Context(), email); !errors.Is(err, auth.ErrUnknownUser) {
				t.Errorf("%s has an account: %v", email, err)
			}
		}
		expectTaken(owner)
		s.Clock.Advance(7*24*time.Hour - time.Second)
		expectTaken(owner)
		expectStatus(t, s.UndoEmailChange(t, undo), 200)
		if user := findUser(t, s, owner); user.ID != id {
			t.Errorf("another user has the email: %+v", user)
		}

		expectCode(t, s.Register(t, other), 400, "email_taken")
		s.Clock.Advance(time.Second)
		expectCode(t, s.UndoEmailChange(t, undoOther), 401, "invalid_link")
		expectStatus(t, s.Register(t, other), 201)
	})
}

// A link to confirm a change to an email that became a previous email of another user is refused, and
// of parallel registrations of an email that a change makes free, none succeeds.
func TestPreviousEmailRaces(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		for range 5 {
			owner, attacker := verifiedUser(t, s), verifiedUser(t, s)
			next := "next-" + owner
			s.Inbox(t)
			expectStatus(t, s.ChangeEmail(t, s.Login(t, owner).Access, next), 202)
			confirm := s.Token(t, s.Inbox(t), next, "confirm-email-change")
			var racing sync.WaitGroup
			racing.Go(func() { expectStatus(t, s.ConfirmEmailChange(t, confirm, servertest.Password), 200) })
			for range 4 {
				racing.Go(func() { expectCode(t, s.Register(t, owner), 400, "email_taken") })
			}
			racing.Wait()
			// A link that was sent before the email became a previous one.
			row := auth.OneTimeToken{
				UserID: findUser(t, s, attacker).ID, Purpose: auth.PurposeConfirmEmailChange, Email: owner,
				Digest: digestOf("a token"), CreatedAt: s.Clock.Now(), ExpiresAt: s.Clock.Now().Add(time.Hour),
			}
			if err := s.DB.WithContext(t.Context()).Create(&row).Error; err != nil {
				t.Fatal(err)
			}
			expectCode(t, s.ConfirmEmailChange(t, "a token", servertest.Password), 401, "invalid_link")
			findUser(t, s, attacker)
			if err := s.DB.WithContext(t.Context()).Delete(&row).Error; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Deleting the account makes its previous emails free. A row that was stored while a clock was ahead
// blocks its email no longer than another.
func TestPreviousEmailBecomesFree(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		owner, other := verifiedUser(t, s), verifiedUser(t, s)
		s.Inbox(t)
		undo := changeTo(t, s, owner, "next@example.com")
		expectCode(t, s.Register(t, owner), 400, "email_taken")
		if err := s.Auth.DeleteUser(t.Context(), findUser(t, s, "next@example.com").ID); err != nil {
			t.Fatal(err)
		}
		expectCode(t, s.UndoEmailChange(t, undo), 401, "invalid_link")
		expectStatus(t, s.Register(t, owner), 201)

		changeTo(t, s, other, "next@example.com")
		expectCode(t, s.Register(t, other), 400, "email_taken")
		ahead := s.DB.WithContext(t.Context()).Model(&auth.PreviousEmail{}).Where("email = ?", other).
			UpdateColumn("expires_at", s.Clock.Now().Add(365*24*time.Hour))
		if ahead.Error != nil || ahead.RowsAffected != 1 {
			t.Fatal(ahead.RowsAffected, ahead.Error)
		}
		imported := fmt.Sprintf("imported-%s", other)
		outcomes, err := s.Auth.ImportUsers(t.Context(), []auth.ImportedUser{
			{Name: "Grace", Email: imported}, {Name: "Grace", Email: other},
		}, false)
		if err != nil || outcomes[0] != nil || outcomes[1] != nil {
			t.Errorf("import: %v, %v", outcomes, err)
		}
	})
}

// Undoing succeeds while the attacker changes the account in parallel.
func TestUndoDuringOtherChanges(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := optional(t, engine)
		for range 3 {
			owner := verifiedUser(t, s)
			s.Inbox(t)
			undo := changeTo(t, s, owner, "attacker-"+owner)
			id := findUser(t, s, "attacker-"+owner).ID
			var attack sync.WaitGroup
			undone := make(chan struct{})
			for range 4 {
				attack.Go(func() {
					for {
						select {
						case <-undone:
							return
						default:
						}
						if _, err := s.Auth.RevokeSessions(t.Context(), id); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			expectStatus(t, s.UndoEmailChange(t, undo), 200)
			close(undone)
			attack.Wait()
		}
	})
}

func digestOf(text string) []byte { return token.OneTimeDigest(text) }
