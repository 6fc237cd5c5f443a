package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/token"
)

// newLogin is a login whose user has proved the identity.
type newLogin struct {
	user    *loginUser
	methods token.Methods // how
	client  Client
	known   bool   // the network is known
	rehash  string // if not empty, it becomes the user's hash
	passkey *uuid.UUID

	use    func(tx *gorm.DB) error // uses up what works once, such as a code; nil: nothing does
	refund func(tx *gorm.DB) error // of the attempt
}

// startSession starts a session, and returns its tokens, or nil if the user has changed since the
// login read it. Every way to log in ends here.
//
// A login by password stores everything in one batch, so it takes three or four round trips to the
// database: whether the network is known, the rate limits, the user if the network is not known,
// and the batch. What works once needs a transaction, which knows how many rows a statement has
// changed.
func (s *Service) startSession(ctx context.Context, login newLogin) (*Tokens, error) {
	user := &login.user.User
	notify, err := s.notifiesLogin(ctx, login)
	if err != nil {
		return nil, err
	}
	session, err := s.newSession(user, login.methods, login.client)
	if err != nil {
		return nil, err
	}
	session.PasskeyID = login.passkey
	run := s.db.Batch
	if login.use != nil {
		run = s.db.Transaction
	}
	err = run(ctx, func(tx *gorm.DB) error {
		if login.use != nil {
			if err := login.use(tx); err != nil {
				return err
			}
		}
		if err := insertSession(tx, session, user, login.rehash); err != nil {
			return err
		}
		return s.recordLogin(tx, login, session, notify)
	})
	if userChanged(err) {
		return nil, nil //nolint:nilnil // nil means that the user has changed
	}
	if err != nil {
		return nil, err
	}
	if login.user.Sessions >= maxSessions {
		if err := s.evictSessions(ctx, user, session, login.client); err != nil {
			return nil, err
		}
	}
	if notify || login.use != nil {
		s.config.Outbox.Wake()
	}
	return s.issueTokens(session, session.Counter, user.EmailVerified())
}

// userChanged reports whether the error of a transaction with insertSession means that the user has
// changed, or was deleted while it ran.
func userChanged(err error) bool {
	return errors.Is(err, database.ErrRequired) || errors.Is(err, gorm.ErrForeignKeyViolated)
}

func (s *Service) newSession(user *User, methods token.Methods, client Client) (*Session, error) {
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
		AuthTime: now, Methods: methods,
	}, nil
}

// insertSession stores a session. If rehash is not empty, it becomes the user's hash. If the user
// has changed, it makes the transaction fail with database.ErrRequired.
//
// Hashing takes a while. If a reset or an operator changed the user meanwhile, or if the user has
// another email now, nothing is stored: the network would be remembered for an email that is free
// for somebody else. Nor is anything stored if the user has a second factor that the session did
// not use: no way to log in can forget to ask for it. A rehash changes nothing that the user would
// notice: neither the generation, which would end the other sessions, nor the time of the last
// change.
//
// The insert does not see a reset that commits between its read of the user and its own commit. The
// session is then of an older generation than the user, and invalid. Such a reset cannot come
// between a rehash and its session: the rehash has locked the user's row.
func insertSession(tx *gorm.DB, session *Session, user *User, rehash string) error {
	hash := user.PasswordHash
	if rehash != "" {
		if err := replaceHash(tx, user, rehash); err != nil {
			return err
		}
		hash = rehash // the insert finds it only if this statement set it
	}
	insert := tx.Exec(`
		INSERT INTO sessions (
			id, user_id, generation, counter, created_at, rotated_at, expires_at, idle_expires_at, ip, last_ip,
			user_agent, auth_time, amr, passkey_id
		)
		SELECT ?, id, generation, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM users
		WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL
			AND (? OR NOT `+hasSecondFactor+`)`,
		session.ID, session.Counter, session.CreatedAt, session.RotatedAt, session.ExpiresAt, session.IdleExpiresAt,
		session.IP, session.LastIP, session.UserAgent, session.AuthTime, session.Methods, session.PasskeyID,
		user.ID, user.Generation, hash, user.Email, session.Methods.TwoFactors())
	if insert.Error != nil {
		return insert.Error
	}
	return database.Require(tx, "EXISTS (SELECT 1 FROM sessions WHERE id = ?)", session.ID)
}

// replaceHash replaces the outdated hash of a user's password, unless the user has changed.
func replaceHash(tx *gorm.DB, user *User, rehash string) error {
	return tx.Exec(`
		UPDATE users SET password_hash = ?
		WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL`,
		rehash, user.ID, user.Generation, user.PasswordHash, user.Email).Error
}

// recordLogin stores what follows from a login.
func (s *Service) recordLogin(tx *gorm.DB, login newLogin, session *Session, notify bool) error {
	user := &login.user.User
	event := ofSession(s.success(audit.Login, user, login.client), session)
	event.Detail = loginDetails[login.methods]
	if err := audit.Record(tx, event); err != nil {
		return err
	}
	lastLogin := tx.Model(&User{}).Where("id = ? AND generation = ?", user.ID, user.Generation)
	if err := lastLogin.UpdateColumn("last_login_at", session.CreatedAt).Error; err != nil {
		return err
	}
	if err := s.rememberNetwork(tx, user, login.client.IP, session.CreatedAt); err != nil {
		return err
	}
	if notify {
		if err := s.enqueueNotice(tx, newLoginEmail, user); err != nil {
			return err
		}
	}
	return login.refund(tx)
}

// loginDetails are the details of login events.
var loginDetails = map[token.Methods]string{
	token.ByTOTP:         "with an authenticator app",
	token.ByRecoveryCode: "with a recovery code",
	token.ByPasskey:      "with a passkey",
}

// notifiesLogin reports whether the user gets an email about a login. The first login is not worth
// one.
func (s *Service) notifiesLogin(ctx context.Context, login newLogin) (bool, error) {
	user := &login.user.User
	if !s.config.NewLoginEmails || login.known || user.LastLoginAt == nil {
		return false, nil
	}
	return s.allowsNotice(ctx, s.failure(audit.Login, user, login.client), newLoginEmail, user.Email)
}
