package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/throttle"
)

// knownFor is how long a network stays known after the last login from it.
const knownFor = 180 * 24 * time.Hour

// KnownNetwork is a network that a user has logged in from, or reset the password from.
type KnownNetwork struct {
	Pseudonym []byte `gorm:"primaryKey"` // of email and network
	UserID    uuid.UUID
	LastSeen  time.Time // the last login
}

// networkPseudonym names an email and the network of an IP address.
func (s *Service) networkPseudonym(email, ip string) []byte {
	return s.throttle.Pseudonym("known network", email, throttle.Network(ip))
}

// knownUser returns the user with this email if the network of an IP address is known for them, or
// nil. From an unknown network it makes the same query, whether or not there is such a user.
func (s *Service) knownUser(ctx context.Context, email, ip string) (*loginUser, error) {
	return found[loginUser](loginUsers(s.db.WithContext(ctx)).
		Joins("JOIN known_networks ON known_networks.user_id = users.id").
		Where("known_networks.pseudonym = ? AND known_networks.last_seen > ?",
			s.networkPseudonym(email, ip), s.now().Add(-knownFor)).
		Where("users.email = ?", email))
}

// rememberNetwork makes the network of an IP address known for a user. If the user has another email
// by now, it does nothing: the network would be known to the next user with this one.
func (s *Service) rememberNetwork(tx *gorm.DB, user *User, ip string, now time.Time) error {
	return tx.Exec(`
		INSERT INTO known_networks (pseudonym, user_id, last_seen)
		SELECT ?, id, ? FROM users WHERE id = ? AND email = ?
		ON CONFLICT (pseudonym) DO UPDATE SET last_seen = excluded.last_seen`,
		s.networkPseudonym(user.Email, ip), now, user.ID, user.Email).Error
}

// forgetNetworks makes every network unknown for a user, and returns the pseudonyms.
func forgetNetworks(tx *gorm.DB, user uuid.UUID) (pseudonyms [][]byte, err error) {
	var rows []KnownNetwork
	err = tx.Clauses(clause.Returning{Columns: []clause.Column{{Name: "pseudonym"}}}).
		Where("user_id = ?", user).Delete(&rows).Error
	for _, row := range rows {
		pseudonyms = append(pseudonyms, row.Pseudonym)
	}
	return pseudonyms, err
}
