package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// Registration describes a new account.
type Registration struct {
	Name     string
	Bio      *string
	Email    string
	Password string
}

// Register creates an account. It returns ErrRegistrationClosed, ErrInvalidEmail, ErrEmailTaken,
// *WeakPasswordError, *ThrottledError or password.ErrBusy. Each registration counts against the
// limits of the network. It is refunded only if the password was never hashed.
//
// If users have to verify their email, the email gets a link. If registration is private, a taken
// email returns a user, too: the same work is done, and the owner of the email gets a notice
// instead of the link. The login that follows reveals nothing either, because private registration
// requires verified emails.
func (s *Service) Register(ctx context.Context, registration Registration, client Client) (user *User, err error) {
	defer func() { s.observe("register", err) }()
	if s.config.Registration == RegistrationClosed {
		return nil, ErrRegistrationClosed
	}
	email, err := NormalizeEmail(registration.Email)
	if err != nil {
		return nil, err
	}
	accepted, err := s.acceptPassword(registration.Password, registration.Name, email)
	if err != nil {
		return nil, err
	}
	event := s.failure(audit.Register, nil, client)
	event.Email = email
	reservation, err := s.reserve(ctx, event, slices.Concat(
		throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(client.IP),
		throttle.Charge{Limit: registrationsPerNetwork}.PerNetwork(client.IP),
	)...)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	hash, err := s.config.Hasher.Hash(ctx, accepted)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	user, err = s.newUser(User{Name: registration.Name, Bio: registration.Bio, Email: email, PasswordHash: hash})
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	sending := false
	if s.config.EmailVerification != VerificationOff {
		verification := s.failure(audit.SendVerificationEmail, nil, client)
		verification.Email = email
		if sending, err = s.reserveLinkEmail(ctx, verification, verifyEmailEmail, email, false); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
	}
	if s.config.Registration == RegistrationPrivate {
		err = s.db.Transaction(ctx, func(tx *gorm.DB) error { return s.registerPrivately(tx, user, event, sending) })
	} else {
		err = s.db.Batch(ctx, func(tx *gorm.DB) error { return s.register(tx, user, event, sending) })
	}
	if errors.Is(err, database.ErrRequired) {
		err = ErrEmailTaken
	}
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if sending {
		s.config.Outbox.Wake()
	}
	return user, nil
}

// register stores a new user. If the email is taken, it makes the batch fail.
func (s *Service) register(tx *gorm.DB, user *User, event audit.Event, sending bool) error {
	if err := insertUser(tx, user); err != nil {
		return err
	}
	if err := requireUser(tx, user); err != nil {
		return err
	}
	event.Outcome, event.UserID = audit.Success, user.ID
	if err := audit.Record(tx, event); err != nil || !sending {
		return err
	}
	return s.enqueueFor(tx, verifyEmailEmail, user.Email)
}

// registerPrivately stores a new user or, if the email is taken, an email to its owner. Both cases run
// the same statements and commit, so that they take the same time.
func (s *Service) registerPrivately(tx *gorm.DB, user *User, event audit.Event, sending bool) error {
	if err := insertUser(tx, user); err != nil {
		return err
	}
	inserted, err := holdUser(tx, user.ID)
	if err != nil {
		return err
	}
	email := verifyEmailEmail
	if inserted {
		event.Outcome, event.UserID = audit.Success, user.ID
	} else {
		event.Detail = "the email has an account"
		email = emailInUseEmail
	}
	if err := audit.Record(tx, event); err != nil || !sending {
		return err
	}
	return s.enqueueFor(tx, email, user.Email)
}
