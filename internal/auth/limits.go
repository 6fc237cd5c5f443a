package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// The limits on guessing passwords (NIST SP 800-63B-4, section 3.2.2: at most 100 consecutive
// failures) and on reset emails. Networks are those of throttle.Network.
var (
	// passwordsPerNetwork is shared by all operations that hash a password.
	passwordsPerNetwork      = throttle.Limit{Name: "passwords per network", Burst: 30, Per: time.Minute}
	loginsPerEmailAndNetwork = throttle.Limit{Name: "logins per email and network", Burst: 10, Per: 15 * time.Minute}
	// emailsPerNetwork counts each email once. It stops an attacker who tries one password on many
	// accounts.
	emailsPerNetwork = throttle.Limit{Name: "emails per network", Burst: 20, Per: 15 * time.Minute}
	// loginsPerEmail stops guessing from many networks. Networks that the user logged in from are
	// exempt, or anybody could lock the user out. Once it is spent, it allows one more attempt each
	// hour.
	loginsPerEmail = throttle.Limit{Name: "logins per email from unknown networks", Burst: 100, Per: 100 * time.Hour}

	resetsPerNetwork    = throttle.Limit{Name: "reset requests per network", Burst: 10, Per: time.Hour}
	resetsPerEmail      = throttle.Limit{Name: "reset emails", Burst: 1, Per: time.Minute}
	dailyResetsPerEmail = throttle.Limit{Name: "reset emails per day", Burst: 5, Per: 24 * time.Hour}
)

// reserve charges an attempt to its limits. If the attempt is throttled, reserve records that.
func (s *Service) reserve(
	ctx context.Context, event audit.Event, charges ...throttle.Charge,
) (*throttle.Reservation, error) {
	reservation, err := s.throttle.Reserve(ctx, charges...)
	if _, ok := errors.AsType[*ThrottledError](err); ok {
		event.Outcome = audit.Throttled
		event.Detail = "too many attempts; further ones from this network are not recorded for 15 minutes"
		if failed := s.recordOnce(ctx, event, throttle.Network(event.IP)); failed != nil {
			return nil, failed
		}
	}
	return reservation, err
}

// settle ends the reservation of an attempt that returned err. It refunds the attempt if the
// password was never hashed: nothing was revealed.
func (s *Service) settle(ctx context.Context, reservation *throttle.Reservation, err error) {
	if errors.Is(err, password.ErrBusy) {
		_ = s.db.Transaction(ctx, reservation.Refund) // best effort
	}
	reservation.End()
}

// reserveLogin charges a login to its limits. They apply to the email as typed, whether or not it
// has an account, so that being throttled reveals nothing.
func (s *Service) reserveLogin(ctx context.Context, typed string, event audit.Event) (*throttle.Reservation, error) {
	subject := event.Email
	if subject == "" {
		subject = strings.ToLower(typed)
	}
	network := throttle.Network(event.IP)
	charges := []throttle.Charge{
		{Limit: passwordsPerNetwork, Subject: network},
		{Limit: loginsPerEmailAndNetwork, Subject: subject + " " + network}, // a network contains no space
		{Limit: emailsPerNetwork, Subject: network, Distinct: subject},
	}
	known, err := s.isKnownNetwork(ctx, subject, network)
	if err != nil {
		return nil, err
	}
	if !known {
		charges = append(charges, throttle.Charge{Limit: loginsPerEmail, Subject: subject})
	}
	return s.reserve(ctx, event, charges...)
}

// knownFor is how long a network stays known after the last login from it.
const knownFor = 180 * 24 * time.Hour

// KnownNetwork is a network that a user has logged in from.
type KnownNetwork struct {
	Pseudonym []byte `gorm:"primaryKey"` // throttle.Pseudonym of email and network
	UserID    uuid.UUID
	LastSeen  time.Time // the last login
}

func (s *Service) networkPseudonym(email, network string) []byte {
	return s.throttle.Pseudonym("known network", email, network)
}

// isKnownNetwork reports whether a user with this email has logged in from the network. It makes
// one query, whether or not there is such a user.
func (s *Service) isKnownNetwork(ctx context.Context, email, network string) (bool, error) {
	var rows int64
	err := s.db.WithContext(ctx).Model(&KnownNetwork{}).
		Where("pseudonym = ? AND last_seen > ?", s.networkPseudonym(email, network), s.now().Add(-knownFor)).
		Count(&rows).Error
	return rows > 0, err
}

// rememberNetwork records the network of a login with this email.
func (s *Service) rememberNetwork(tx *gorm.DB, session *Session, email string) error {
	row := KnownNetwork{
		Pseudonym: s.networkPseudonym(email, throttle.Network(session.IP)),
		UserID:    session.UserID, LastSeen: session.CreatedAt,
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "pseudonym"}},
		DoUpdates: clause.AssignmentColumns([]string{"last_seen"}),
	}).Create(&row).Error
}
