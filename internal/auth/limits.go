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
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// The limits of guessing (NIST SP 800-63B-4, section 3.2.2: at most 100 failures in a row) and of mailing.
// A network is throttle.Network's.
var (
	// passwordsOfNetwork is shared by every door that hashes.
	passwordsOfNetwork = throttle.Limit{Name: "passwords of a network", Burst: 30, Per: time.Minute}
	loginsOfPair       = throttle.Limit{Name: "logins of an address from a network", Burst: 10, Per: 15 * time.Minute}
	// addressesOfNetwork counts each address once: it is against trying one password on many.
	addressesOfNetwork = throttle.Limit{Name: "addresses of a network", Burst: 20, Per: 15 * time.Minute}
	// loginsOfAddress is against guessing from many networks. It leaves out those the user logged in from, or
	// anybody could lock him out. Once spent, it allows one more an hour.
	loginsOfAddress = throttle.Limit{Name: "logins of an address from unknown networks", Burst: 100, Per: 100 * time.Hour}

	resetsOfNetwork      = throttle.Limit{Name: "reset requests of a network", Burst: 10, Per: time.Hour}
	resetsOfAddress      = throttle.Limit{Name: "reset mails to an address", Burst: 1, Per: time.Minute}
	dailyResetsOfAddress = throttle.Limit{Name: "reset mails to an address in a day", Burst: 5, Per: 24 * time.Hour}
)

// reserve pays for an attempt, or does nothing when limits are off. One that is throttled is recorded as attempt.
func (a *Authority) reserve(ctx context.Context, attempt audit.Event, charges ...throttle.Charge) (*throttle.Reservation, error) {
	if a.throttle == nil {
		return nil, nil //nolint:nilnil // a reservation of nothing
	}
	reservation, err := a.throttle.Reserve(ctx, charges...)
	var throttled *ThrottledError
	if errors.As(err, &throttled) {
		attempt.Outcome = audit.Throttled
		attempt.Detail = "too many attempts; the next ones of this network are recorded after a quarter of an hour"
		if failed := a.recordOnce(ctx, attempt, throttle.Network(attempt.Address)); failed != nil {
			return nil, failed
		}
	}
	return reservation, err
}

// settle ends the reservation of an attempt that ended in err. One that did not get its turn to hash has told nobody
// anything, so it costs nothing; should the database be out of reach too, its price stays.
func (a *Authority) settle(ctx context.Context, reservation *throttle.Reservation, err error) {
	if reservation != nil && errors.Is(err, password.ErrBusy) {
		_ = database.Transaction(ctx, a.db, reservation.Refund)
	}
	reservation.End()
}

// reserveLogin pays for one login. The limits are held against the address as typed, whether or not it has an
// account, so that being throttled tells nothing.
func (a *Authority) reserveLogin(ctx context.Context, address string, attempt audit.Event) (*throttle.Reservation, error) {
	if a.throttle == nil {
		return nil, nil //nolint:nilnil // a reservation of nothing
	}
	subject := attempt.Email
	if subject == "" {
		subject = strings.ToLower(address)
	}
	network := throttle.Network(attempt.Address)
	charges := []throttle.Charge{
		{Limit: passwordsOfNetwork, Subject: network},
		{Limit: loginsOfPair, Subject: subject + " " + network}, // a network has no space
		{Limit: addressesOfNetwork, Subject: network, Distinct: subject},
	}
	known, err := a.knows(ctx, subject, network)
	if err != nil {
		return nil, err
	}
	if !known {
		charges = append(charges, throttle.Charge{Limit: loginsOfAddress, Subject: subject})
	}
	return a.reserve(ctx, attempt, charges...)
}

// knownFor is how long a network stays known after the last login from it.
const knownFor = 180 * 24 * time.Hour

// KnownNetwork is a network that a user has logged in from.
type KnownNetwork struct {
	Pseudonym []byte `gorm:"primaryKey"` // throttle.Pseudonym, of address and network
	UserID    uuid.UUID
	LastSeen  time.Time // the last login
}

func (a *Authority) knownNetwork(address, network string) []byte {
	return a.throttle.Pseudonym("known network", address, network)
}

// knows tells whether somebody has logged in with address from network. It is one lookup, account or not.
func (a *Authority) knows(ctx context.Context, address, network string) (bool, error) {
	var rows int64
	err := a.db.WithContext(ctx).Model(&KnownNetwork{}).
		Where("pseudonym = ? AND last_seen > ?", a.knownNetwork(address, network), a.now().Add(-knownFor)).Count(&rows).Error
	return rows > 0, err
}

// remember notes the network of a login with address.
func (a *Authority) remember(tx *gorm.DB, session *Session, address string) error {
	if a.throttle == nil {
		return nil
	}
	row := KnownNetwork{
		Pseudonym: a.knownNetwork(address, throttle.Network(session.Address)),
		UserID:    session.UserID, LastSeen: session.CreatedAt,
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "pseudonym"}},
		DoUpdates: clause.AssignmentColumns([]string{"last_seen"}),
	}).Create(&row).Error
}

// forgive makes an address's budget whole again: a reset has shown who the owner is.
func (a *Authority) forgive(tx *gorm.DB, address string) error {
	if a.throttle == nil {
		return nil
	}
	return a.throttle.Clear(tx, loginsOfAddress, address)
}
