package auth

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// repeatedEvents bounds the record: in a flood, one event tells of all.
var repeatedEvents = throttle.Limit{Name: "repeated events", Burst: 1, Per: 15 * time.Minute}

// attempt is an event that has not ended well yet. user may be nil.
func (a *Authority) attempt(kind audit.Kind, user *User, client Client) audit.Event {
	event := audit.Event{At: a.now(), Kind: kind, Outcome: audit.Failure, Origin: client}
	if user != nil {
		event.UserID, event.Email = user.ID, user.Email
	}
	return event
}

// success is an event of user that went well; session may be nil.
func (a *Authority) success(kind audit.Kind, user *User, session *Session, client Client) audit.Event {
	event := a.attempt(kind, user, client)
	event.Outcome = audit.Success
	if session != nil {
		event.SessionID = session.ID
	}
	return event
}

// record writes an event that comes with no other change.
func (a *Authority) record(ctx context.Context, event audit.Event) error {
	return database.Statement(ctx, a.db, func(tx *gorm.DB) error { return audit.Record(tx, event) })
}

// recordOnce writes an event that a client can have again and again, unless one like it was written a short while
// ago. About says what is alike.
func (a *Authority) recordOnce(ctx context.Context, event audit.Event, about string) error {
	if a.throttle != nil {
		room, err := a.throttle.Reserve(ctx, throttle.Charge{Limit: repeatedEvents, Subject: string(event.Kind) + " " + about})
		var throttled *ThrottledError
		switch {
		case errors.As(err, &throttled):
			return nil
		case err != nil:
			return err
		}
		room.End()
	}
	return a.record(ctx, event)
}
