package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// SecondFactorError is returned by Login if the password is right and the user has a second factor.
// CompleteLogin continues the login.
type SecondFactorError struct {
	LoginToken string
	Factors    []FactorType // what the code can come from
}

func (*SecondFactorError) Error() string { return "a second factor is required" }

// loginToken is the content of a login token.
type loginToken struct {
	User       uuid.UUID        `json:"user"`
	Generation int64            `json:"generation"` // of the user: a new password makes the token invalid
	Receipt    throttle.Receipt `json:"receipt"`    // for the attempt, which the whole login refunds
}

// loginPurpose is the purpose of a login token.
const loginPurpose = "login"

// requireSecondFactor returns the *SecondFactorError of a login whose password is right. If rehash
// is not empty, it becomes the user's hash: the next step of the login does not have the password.
//
// It starts no session, does not refund the attempt and does not remember the network: half a login
// must be worth nothing to an attacker who knows the password.
func (s *Service) requireSecondFactor(
	ctx context.Context, of *loginUser, rehash string, reservation *throttle.Reservation, client Client,
) error {
	user := &of.User
	factors, err := s.factorsOf(ctx, user.ID)
	if err != nil {
		return err
	}
	content, err := json.Marshal(loginToken{
		User: user.ID, Generation: user.Generation, Receipt: reservation.Receipt(),
	})
	if err != nil {
		return err
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if rehash != "" {
			if err := replaceHash(tx, user, rehash); err != nil {
				return err
			}
		}
		return audit.Record(tx, s.success(audit.RequireSecondFactor, user, client))
	})
	if err != nil {
		return err
	}
	return &SecondFactorError{LoginToken: s.config.Challenges.NewText(loginPurpose, content), Factors: factors}
}

// factorsOf returns what a code of a user with a second factor can come from.
func (s *Service) factorsOf(ctx context.Context, user uuid.UUID) ([]FactorType, error) {
	factors, err := s.Factors(ctx, user)
	if err != nil {
		return nil, err
	}
	types := []FactorType{}
	if factors.TOTP != nil && factors.TOTP.Failures < maxFailures {
		types = append(types, FactorTOTP)
	}
	if factors.RecoveryCodesLeft > 0 {
		types = append(types, FactorRecoveryCode)
	}
	return types, nil
}

// CompleteLogin starts the session of a login that returned *SecondFactorError. The code is one of
// the authenticator app, or a recovery code. It returns ErrInvalidLoginToken, ErrInvalidCode or
// *ThrottledError.
//
// A wrong code does not use up the login token. One transaction uses up the token and the code, and
// stores the session, so each works once, whatever runs in parallel. It also refunds what the first
// step of the login was charged.
func (s *Service) CompleteLogin(ctx context.Context, text, code string, client Client) (tokens *Tokens, err error) {
	defer func() { s.observe("complete-login", err) }()
	challenge, content, expires, err := s.config.Challenges.OpenText(text, loginPurpose)
	var login loginToken
	if err == nil {
		err = json.Unmarshal(content, &login)
	}
	if err != nil {
		return nil, ErrInvalidLoginToken
	}
	user, err := s.userOfLogin(ctx, login, challenge)
	if err != nil {
		return nil, fmt.Errorf("complete login: %w", err)
	}
	defer func() { s.observeFactor(factorOf(code), err) }()
	known, err := s.knownUser(ctx, user.Email, client.IP)
	if err != nil {
		return nil, fmt.Errorf("complete login: %w", err)
	}
	attempt, err := s.startCode(ctx, &user.User, code, s.failure(audit.SecondFactor, &user.User, client))
	if err != nil {
		return nil, fmt.Errorf("complete login: %w", err)
	}
	defer func() { s.settle(ctx, attempt.reservation, err) }()
	tokens, err = s.startSession(ctx, newLogin{
		user: user, methods: attempt.methods(), client: client, known: known != nil,
		use: func(tx *gorm.DB) error {
			if err := s.useCode(tx, attempt); err != nil {
				return err
			}
			used, err := useChallenge(tx, challenge, expires)
			if err == nil && !used {
				err = ErrInvalidLoginToken
			}
			return err
		},
		refund: func(tx *gorm.DB) error { return s.throttle.Refund(tx, login.Receipt) },
	})
	if errors.Is(err, ErrInvalidCode) {
		err = s.refuseCode(ctx, attempt)
	}
	if err == nil && tokens == nil {
		err = ErrInvalidLoginToken // the user changed meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("complete login: %w", err)
	}
	return tokens, nil
}

// userOfLogin returns the user of a login token, or ErrInvalidLoginToken if the token was used or
// the user changed.
func (s *Service) userOfLogin(ctx context.Context, login loginToken, challenge []byte) (*loginUser, error) {
	user, err := found[loginUser](loginUsers(s.db.WithContext(ctx)).
		Where("users.id = ? AND users.generation = ? AND users.disabled_at IS NULL", login.User, login.Generation).
		Where("NOT EXISTS (SELECT 1 FROM used_challenges WHERE digest = ?)", token.ChallengeDigest(challenge)))
	if err != nil {
		return nil, err
	}
	if user == nil || s.config.EmailVerification == VerificationRequired && !user.EmailVerified() {
		return nil, ErrInvalidLoginToken
	}
	return user, nil
}
