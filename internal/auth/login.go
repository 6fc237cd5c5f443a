package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// loginAttempts is how often a login checks the password if the user changes meanwhile. Two are
// enough: an outdated hash is replaced only once. After that only a new password changes the hash.
const loginAttempts = 2

// Login starts a session for the user with this email and password.
//
// It returns ErrInvalidCredentials if the email is unknown, the password is wrong or the user is
// disabled, ErrEmailNotVerified if the password is right but the email has to be verified first,
// *ThrottledError if a rate limit is exceeded, and password.ErrBusy if the password could not be
// hashed in time. If registration is private, an email that is not verified is like a wrong
// password, because the login would otherwise reveal what registering it has hidden.
//
// An attacker must not be able to distinguish the first three cases. Each runs one lookup and one
// password hash; an unknown email is checked against a dummy hash of the current cost. Imported
// users are an exception: until their first login their hash has its old cost, which a wrong
// password reveals.
//
// The attempt counts against the rate limits before the password is hashed, so parallel guesses
// cannot exceed them. It is refunded if the password is right or was never hashed.
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
		notify, err := s.notifiesLogin(ctx, &user.User, known, event)
		if err == nil {
			tokens, err = s.startSession(ctx, user, rehash, notify, client, reservation)
		}
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

// startSession starts a session, refunds the reservation, and returns the tokens, or nil if the user
// has changed since it was read. If rehash is not empty, it becomes the user's hash.
//
// What it stores is one batch, so a login takes three or four round trips to the database: whether the
// network is known, the rate limits, the user if the network is not known, and the batch.
func (s *Service) startSession(
	ctx context.Context, of *loginUser, rehash string, notify bool, client Client, reservation *throttle.Reservation,
) (*Tokens, error) {
	user := &of.User
	session, err := s.newSession(user, client)
	if err != nil {
		return nil, err
	}
	created, err := s.createSession(ctx, session, user, rehash, func(tx *gorm.DB) error {
		if err := audit.Record(tx, ofSession(s.success(audit.Login, user, client), session)); err != nil {
			return err
		}
		lastLogin := tx.Model(&User{}).Where("id = ? AND generation = ?", user.ID, user.Generation)
		if err := lastLogin.UpdateColumn("last_login_at", session.CreatedAt).Error; err != nil {
			return err
		}
		if err := s.rememberNetwork(tx, user, client.IP, session.CreatedAt); err != nil {
			return err
		}
		if notify {
			if err := s.enqueueNotice(tx, newLoginEmail, user); err != nil {
				return err
			}
		}
		return reservation.Refund(tx)
	})
	if err != nil || !created {
		return nil, err
	}
	if of.Sessions >= maxSessions {
		if err := s.evictSessions(ctx, user, session, client); err != nil {
			return nil, err
		}
	}
	if notify {
		s.config.Outbox.Wake()
	}
	return s.issueTokens(session, session.Counter, user.EmailVerified())
}

// notifiesLogin reports whether the user gets an email about a login. The first login is not worth
// one.
func (s *Service) notifiesLogin(ctx context.Context, user *User, known bool, event audit.Event) (bool, error) {
	if !s.config.NewLoginEmails || known || user.LastLoginAt == nil {
		return false, nil
	}
	return s.allowsNotice(ctx, event, newLoginEmail, user.Email)
}

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
}

// loginUsers selects login users.
func loginUsers(tx *gorm.DB) *gorm.DB {
	return tx.Table("users").Select(`users.*, (
		SELECT COUNT(*) FROM sessions
		WHERE sessions.user_id = users.id AND sessions.generation = users.generation AND sessions.revoked_at IS NULL
	) AS sessions`)
}

// loginUser returns the user with a normalized email, or nil. No user has the empty email.
func (s *Service) loginUser(ctx context.Context, email string) (*loginUser, error) {
	return found[loginUser](loginUsers(s.db.WithContext(ctx)).Where("users.email = ?", email))
}

// checkPassword returns the reason why a password does not log in a user, for the audit log; it is
// empty if it does. user is nil if there is none. It returns password.ErrBusy.
func (s *Service) checkPassword(ctx context.Context, user *loginUser, plain string) (refusal string, err error) {
	hash := s.dummyHash
	if user != nil {
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

func (s *Service) newSession(user *User, client Client) (*Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.now()
	return &Session{
		ID: id, UserID: user.ID, Generation: user.Generation, Counter: 1,
		CreatedAt: now, RotatedAt: now,
		ExpiresAt: now.Add(s.config.SessionLifetime), IdleExpiresAt: now.Add(s.config.IdleLifetime),
		IP: client.IP, LastIP: client.IP, UserAgent: client.UserAgent,
	}, nil
}

// createSession stores a session and what then adds to the batch. If rehash is not empty, it becomes
// the user's hash.
//
// Hashing takes a while. If a reset or an operator changed the user meanwhile, or if the user has
// another email now, createSession stores nothing and returns false: the network would be remembered
// for an email that is free for somebody else. A rehash changes nothing that the user would notice:
// neither the generation, which would end the other sessions, nor the time of the last change.
//
// The insert does not see a reset that commits between its read of the user and its own commit. The
// session is then of an older generation than the user, and invalid. Such a reset cannot come
// between a rehash and its session: the rehash has locked the user's row.
func (s *Service) createSession(
	ctx context.Context, session *Session, user *User, rehash string, then func(tx *gorm.DB) error,
) (created bool, err error) {
	err = s.db.Batch(ctx, func(tx *gorm.DB) error {
		hash := user.PasswordHash
		if rehash != "" {
			replace := tx.Exec(`
				UPDATE users SET password_hash = ?
				WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL`,
				rehash, user.ID, user.Generation, hash, user.Email)
			if replace.Error != nil {
				return replace.Error
			}
			hash = rehash // the insert finds it only if this statement set it
		}
		insert := tx.Exec(`
			INSERT INTO sessions (
				id, user_id, generation, counter, created_at, rotated_at, expires_at, idle_expires_at, ip, last_ip,
				user_agent
			)
			SELECT ?, id, generation, ?, ?, ?, ?, ?, ?, ?, ? FROM users
			WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL`,
			session.ID, session.Counter, session.CreatedAt, session.RotatedAt, session.ExpiresAt, session.IdleExpiresAt,
			session.IP, session.LastIP, session.UserAgent, user.ID, user.Generation, hash, user.Email)
		if insert.Error != nil {
			return insert.Error
		}
		if err := database.Require(tx, "EXISTS (SELECT 1 FROM sessions WHERE id = ?)", session.ID); err != nil {
			return err
		}
		return then(tx)
	})
	if errors.Is(err, database.ErrRequired) {
		return false, nil
	}
	if errors.Is(err, gorm.ErrForeignKeyViolated) { // the user was deleted while the insert ran
		return false, nil
	}
	return err == nil, err
}
