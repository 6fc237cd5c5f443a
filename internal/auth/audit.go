package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// repeatedEvents limits events that a client can cause at will. During a flood, only one is
// recorded.
var repeatedEvents = throttle.Limit{Name: "repeated events", Burst: 1, Per: 15 * time.Minute, Always: true}

// failure returns an event for something that was tried and failed. user may be nil.
func (s *Service) failure(kind audit.Kind, user *User, client Client) audit.Event {
	event := audit.Event{At: s.now(), Kind: kind, Outcome: audit.Failure, Origin: client}
	if user != nil {
		event.UserID, event.Email = user.ID, user.Email
	}
	return event
}

// success returns an event for something that was done. user may be nil.
func (s *Service) success(kind audit.Kind, user *User, client Client) audit.Event {
	event := s.failure(kind, user, client)
	event.Outcome = audit.Success
	return event
}

// ofSession returns the event with the ids of a session and its user.
func ofSession(event audit.Event, session *Session) audit.Event {
	event.SessionID, event.UserID = session.ID, session.UserID
	return event
}

// record writes an event in a transaction of its own. If the user was deleted meanwhile, it blanks
// the event like those that were recorded before. It runs the same statements with and without a
// user, so that a failed login does not reveal whether there is one.
func (s *Service) record(ctx context.Context, event audit.Event) error {
	return s.db.Transaction(ctx, func(tx *gorm.DB) error {
		exists, err := holdUser(tx, event.UserID)
		if err != nil {
			return err
		}
		recorded := event
		if event.UserID != uuid.Nil && !exists {
			recorded.Email, recorded.IP, recorded.UserAgent, recorded.Detail = "", "", "", ""
		}
		return audit.Record(tx, recorded)
	})
}

// recordOnce writes an event if the charges allow it, and reports whether it did. Their limit is
// repeatedEvents.
func (s *Service) recordOnce(
	ctx context.Context, event audit.Event, charges ...throttle.Charge,
) (recorded bool, err error) {
	first, err := s.isFirst(ctx, charges...)
	if err != nil || !first {
		return false, err
	}
	return true, s.record(ctx, event)
}

// isFirst reports whether the charges allow an event. Their limit is repeatedEvents.
func (s *Service) isFirst(ctx context.Context, charges ...throttle.Charge) (bool, error) {
	reservation, err := s.throttle.Reserve(ctx, charges...)
	if _, ok := errors.AsType[*ThrottledError](err); ok {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	reservation.End()
	return true, nil
}

// warn logs an event that is likely an attack. Callers must bound how often a client can cause it.
func (s *Service) warn(message string, event audit.Event) {
	log := s.config.Log.With("kind", event.Kind, "ip", event.IP, "request_id", event.RequestID)
	if event.UserID != uuid.Nil {
		log = log.With("user", event.UserID, "session", event.SessionID)
	}
	log.Warn(message)
}
