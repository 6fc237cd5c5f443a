package auth

import (
	"context"
	"errors"
	"time"

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

// record writes an event in a statement of its own.
func (s *Service) record(ctx context.Context, event audit.Event) error {
	return s.db.Statement(ctx, func(db *gorm.DB) error { return audit.Record(db, event) })
}

// recordOnce writes an event unless one of the same kind and subject was written in the last 15
// minutes.
func (s *Service) recordOnce(ctx context.Context, event audit.Event, subject string) error {
	charge := throttle.Charge{Limit: repeatedEvents, Subject: string(event.Kind) + " " + subject}
	reservation, err := s.throttle.Reserve(ctx, charge)
	if _, ok := errors.AsType[*ThrottledError](err); ok {
		return nil
	}
	if err != nil {
		return err
	}
	reservation.End()
	return s.record(ctx, event)
}
