// Package audit is the record of what happened to accounts, sessions and signing keys.
//
// An event is written in the transaction of what it tells, so that neither is there without the other. Whoever
// writes one sees to it that a flood writes few: no event may be had for the asking. Nothing secret is in it, no
// password, token or digest. It outlives the account it is about, until it is as old as it is kept.
package audit

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Kind is what was tried or done.
type Kind string

// The kinds. The names are stored, and operators search for them.
const (
	Register       Kind = "register"
	Login          Kind = "login"
	Replay         Kind = "refresh-replay" // a token just traded came again within the grace
	Reuse          Kind = "refresh-reuse"  // a retired token came: its session has been revoked
	Logout         Kind = "logout"
	Evict          Kind = "session-evict" // a login too many ended the session not refreshed for longest
	ForgotPassword Kind = "forgot-password"
	ResetPassword  Kind = "reset-password"

	CreateUser     Kind = "user-create" // this and the following by an operator
	ImportUsers    Kind = "user-import" // a batch of them
	DisableUser    Kind = "user-disable"
	EnableUser     Kind = "user-enable"
	DeleteUser     Kind = "user-delete"
	SetPassword    Kind = "user-set-password"
	RevokeSessions Kind = "user-revoke-sessions"
	ResetLink      Kind = "user-reset-link"

	CreateKey  Kind = "key-create"
	AdvanceKey Kind = "key-advance" // a next key signs earlier than it was to
	RevokeKey  Kind = "key-revoke"
	DeleteKey  Kind = "key-delete" // its last token has expired
)

// Outcome is how it ended.
type Outcome string

// The outcomes.
const (
	Success   Outcome = "success"
	Failure   Outcome = "failure"
	Throttled Outcome = "throttled" // the first of many: see Detail
)

// Origin is where a request came from. What a client says of itself is untrusted text.
type Origin struct {
	RequestID string `json:"requestId,omitempty"` // the answer's X-Request-Id; empty: no request
	Address   string `json:"address,omitempty"`   // the client's
	UserAgent string `json:"userAgent,omitempty"`
}

// Event is one line of the record.
type Event struct {
	ID        uuid.UUID `gorm:"primaryKey" json:"id"` // UUIDv7
	At        time.Time `json:"at"`                   // UTC
	Kind      Kind      `json:"kind"`
	Outcome   Outcome   `json:"outcome"`
	UserID    uuid.UUID `json:"userId,omitzero"`    // uuid.Nil: nobody, or not known
	SessionID uuid.UUID `json:"sessionId,omitzero"` // uuid.Nil: none
	Email     string    `json:"email,omitempty"`    // normalised; that of an account or one that was asked for
	Origin    `gorm:"embedded"`
	Detail    string `json:"detail,omitempty"` // in words: the reason, or the key
}

// TableName is the table's.
func (Event) TableName() string { return "audit_events" }

// Record writes events in the caller's transaction.
func Record(tx *gorm.DB, events ...Event) error {
	for i := range events {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		events[i].ID, events[i].At = id, events[i].At.UTC()
	}
	if len(events) == 0 {
		return nil
	}
	if err := tx.Create(&events).Error; err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Purge deletes up to most events from before until, in the caller's transaction, and tells how many.
func Purge(tx *gorm.DB, until time.Time, most int) (int64, error) {
	deletion := tx.Exec("DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE at < ? LIMIT ?)", until, most)
	return deletion.RowsAffected, deletion.Error
}
