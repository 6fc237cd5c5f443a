package auth

import (
	"cmp"
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// loginAttempts is how often a login checks the password if the user changes meanwhile. Two are
// enough: an outdated hash is replaced only once. After that only a new password changes the hash.
const loginAttempts = 2

// Login starts a session for the user with this email and password.
//
// It returns ErrInvalidCredentials if the email is unknown, the password is wrong or the user is
// disabled, ErrEmailNotVerified if the password is right but the email has to be verified first,
// *SecondFactorError if CompleteLogin has to continue, *ThrottledError if a rate limit is exceeded,
// and password.ErrBusy if the password could not be hashed in time. If registration is private, an
// email that is not verified is like a wrong password, because the login would otherwise reveal
// what registering it has hidden.
//
// An attacker must not be able to distinguish the first three cases. Each runs one lookup and one
// password hash; an unknown email is checked against a dummy hash of the current cost. Imported
// users are an exception: until their first login their hash has its old cost, which a wrong
// password reveals.
//
// The attempt counts against the rate limits before the password is hashed, so parallel guesses
// cannot exceed them. It is refunded if the whole login succeeds, or if nothing was hashed.
// Users in a network they have logged in from are hashed first, so that a flood of logins from
// elsewhere does not keep them out.
//
// An outdated hash is replaced when the session is created. If several logins run at the same time,
// one replaces the hash. The others find that the hash they checked is gone, and check again.
func (s *Service) Login(ctx context.Context, email, plain string, client Client) (tokens *Tokens, err error) {
	defer func() { s.observe("login", err) }()
	event := s.failure(audit.Login, nil, client)
	event.Email, _ = NormalizeEmail(email) // an invalid email is not recorded: it may be a password
	reservation, user, err := s.reserveLogin(ctx, email, event)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	known, hashing := user != nil, ctx
	if known {
		hashing = password.Preferred(ctx, string(s.networkPseudonym(event.Email, client.IP)))
	}
	for attempt := range loginAttempts {
		if !known || attempt > 0 {
			if user, err = s.loginUser(ctx, event.Email); err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
		}
		refusal, err := s.checkPassword(hashing, user, plain)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		if user != nil {
			event.UserID = user.ID
		}
		if event.Detail = refusal; refusal != "" {
			break
		}
		rehash := ""
		if s.config.Hasher.Outdated(user.PasswordHash) {
			if rehash, err = s.config.Hasher.Rehash(hashing, plain); err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
		}
		if user.SecondFactor {
			return nil, fmt.Errorf("login: %w", s.requireSecondFactor(ctx, user, rehash, reservation, client))
		}
		tokens, err = s.startSession(ctx, newLogin{
			user: user, methods: token.ByPassword, rehash: rehash, known: known, client: client, refund: reservation.Refund,
		})
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		if tokens != nil {
			return tokens, nil
		}
		event.Detail = "the user changed during the login"
	}
	if err := s.refuseLogin(ctx, event, reservation, known); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return nil, fmt.Errorf("login: %w", ErrInvalidCredentials)
}

// emailNotVerified is the reason for refusing a login with the right password.
const emailNotVerified = "the email is not verified"

// refuseLogin records a login that was refused. It returns nil, which stands for
// ErrInvalidCredentials, or ErrEmailNotVerified.
//
// If registration is private, it does the same work for every reason: it uses up the budget for a
// link and stores an email, which is the link if the email is not verified, and nothing otherwise.
func (s *Service) refuseLogin(
	ctx context.Context, event audit.Event, reservation *throttle.Reservation, known bool,
) error {
	unverified := event.Detail == emailNotVerified
	if s.config.Registration != RegistrationPrivate {
		if err := s.record(ctx, event); err != nil || !unverified {
			return err
		}
		return cmp.Or(s.db.Transaction(ctx, reservation.Refund), ErrEmailNotVerified)
	}
	if err := s.record(ctx, event); err != nil || event.Email == "" {
		return err
	}
	verification := s.failure(audit.SendVerificationEmail, nil, event.Origin)
	verification.Email = event.Email
	sending, err := s.reserveLinkEmail(ctx, verification, verifyEmailEmail, event.Email, known)
	if err != nil || !sending {
		return err
	}
	email := noEmail
	if unverified {
		email = verifyEmailEmail
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error { return s.enqueueFor(tx, email, event.Email) })
	s.config.Outbox.Wake()
	return err
}

// loginUser is a user with what else a login needs to know.
type loginUser struct {
	User     `gorm:"embedded"`
	Sessions int64 `gorm:"->"` // that are not revoked; some of them may have expired

	SecondFactor bool `gorm:"->"` // the user has one
}

// loginUsers selects login users.
func loginUsers(tx *gorm.DB) *gorm.DB {
	return tx.Table("users").Select(`users.*, (
		SELECT COUNT(*) FROM sessions
		WHERE sessions.user_id = users.id AND sessions.generation = users.generation AND sessions.revoked_at IS NULL
	) AS sessions, ` + hasSecondFactor + ` AS second_factor`)
}

// loginUser returns the user with a normalized email, or nil. No user has the empty email.
func (s *Service) loginUser(ctx context.Context, email string) (*loginUser, error) {
	return found[loginUser](loginUsers(s.db.WithContext(ctx)).Where("users.email = ?", email))
}

// checkPassword returns the reason why a password does not log in a user, for the audit log; it is
// empty if it does. user is nil if there is none. It returns password.ErrBusy.
func (s *Service) checkPassword(ctx context.Context, user *loginUser, plain string) (refusal string, err error) {
	hash := s.dummyHash
	if user != nil && user.HasPassword() {
		hash = user.PasswordHash
	}
	matches, err := s.config.Hasher.Verify(ctx, plain, hash)
	switch {
	case err != nil:
		return "", err
	case user == nil:
		return "no such account", nil
	case !matches:
		return "wrong password", nil
	case user.DisabledAt != nil:
		return "the user is disabled", nil
	case s.config.EmailVerification == VerificationRequired && !user.EmailVerified():
		return emailNotVerified, nil
	}
	return "", nil
}
