// Package audit records what happens to accounts, sessions and signing keys.
//
// An event is written in the same transaction as the change it describes, so neither exists without
// the other. Callers must bound how many events a client can trigger. Events contain no secrets,
// such as passwords, tokens or digests. They are kept until the end of their retention, even if
// their account is deleted: see [Forget].
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Kind is what was tried or done.
type Kind string

// The kinds. They are stored, and operators search for them.
const (
	Register Kind = "register"
	Login    Kind = "login"
	Replay   Kind = "refresh-replay" // a just-used refresh token was used again within the grace period
	// ReplayElsewhere is a Replay from another network than that of the last refresh.
	ReplayElsewhere Kind = "refresh-replay-elsewhere"
	Reuse           Kind = "refresh-reuse" // an old refresh token was used: the session was revoked
	Logout          Kind = "logout"
	Evict           Kind = "session-evict" // a login over the limit revoked the session not refreshed for longest
	ForgotPassword  Kind = "forgot-password"
	ResetPassword   Kind = "reset-password"

	UpdateAccount         Kind = "update-account" // at most one event for each user in 15 minutes
	ChangePassword        Kind = "change-password"
	SendVerificationEmail Kind = "send-verification-email"
	VerifyEmail           Kind = "verify-email"
	ChangeEmail           Kind = "change-email" // requested; ConfirmEmailChange is when it takes effect
	CancelEmailChange     Kind = "cancel-email-change"
	ConfirmEmailChange    Kind = "confirm-email-change"
	UndoEmailChange       Kind = "undo-email-change"
	CheckEmailLink        Kind = "check-email-link" // only failures
	DeleteAccount         Kind = "delete-account"
	ExportAccount         Kind = "export-account"
	RevokeSession         Kind = "session-revoke"
	LogoutEverywhere      Kind = "logout-everywhere"

	RequireSecondFactor Kind = "second-factor-require" // a login with the right password, before the code
	SecondFactor        Kind = "second-factor"         // only failures: a wrong code
	Reauthenticate      Kind = "reauthenticate"
	AddTOTP             Kind = "totp-add"
	RemoveTOTP          Kind = "totp-remove"
	RenewRecoveryCodes  Kind = "recovery-codes-renew"
	AddPasskey          Kind = "passkey-add"
	RemovePasskey       Kind = "passkey-remove"
	PasskeyCount        Kind = "passkey-count" // the signature count went back: there may be a copy of the passkey

	// By an operator:

	CreateUser     Kind = "user-create"
	ImportUsers    Kind = "user-import" // one event for each batch
	DisableUser    Kind = "user-disable"
	EnableUser     Kind = "user-enable"
	DeleteUser     Kind = "user-delete"
	SetPassword    Kind = "user-set-password"
	RevokeSessions Kind = "user-revoke-sessions"
	ResetLink      Kind = "user-reset-link"
	VerifyUser     Kind = "user-verify"
	UnverifyUser   Kind = "user-unverify"
	AddUserTOTP    Kind = "user-add-totp"
	RemoveFactors  Kind = "user-remove-factors"

	CreateKey  Kind = "key-create"
	AdvanceKey Kind = "key-advance" // the next key signs earlier than planned
	RevokeKey  Kind = "key-revoke"
	DeleteKey  Kind = "key-delete" // its last token has expired

	GiveUpEmail Kind = "email-give-up"
	RetryEmail  Kind = "email-retry" // by an operator, like email-drop
	DropEmail   Kind = "email-drop"

	Restore Kind = "restore" // the database is a backup, by an operator
)

// Kinds lists every kind.
var Kinds = []Kind{
	Register, Login, Replay, ReplayElsewhere, Reuse, Logout, Evict, ForgotPassword, ResetPassword,
	UpdateAccount, ChangePassword, SendVerificationEmail, VerifyEmail, ChangeEmail, CancelEmailChange,
	ConfirmEmailChange, UndoEmailChange, CheckEmailLink, DeleteAccount, ExportAccount, RevokeSession, LogoutEverywhere,
	RequireSecondFactor, SecondFactor, Reauthenticate, AddTOTP, RemoveTOTP, RenewRecoveryCodes,
	AddPasskey, RemovePasskey, PasskeyCount,
	CreateUser, ImportUsers, DisableUser, EnableUser, DeleteUser, SetPassword, RevokeSessions, ResetLink,
	VerifyUser, UnverifyUser, AddUserTOTP, RemoveFactors,
	CreateKey, AdvanceKey, RevokeKey, DeleteKey,
	GiveUpEmail, RetryEmail, DropEmail,
	Restore,
}

// Outcome is the outcome of what was tried.
type Outcome string

// The outcomes.
const (
	Success   Outcome = "success"
	Failure   Outcome = "failure"
	Throttled Outcome = "throttled" // the first attempt; Detail says for how long others are not recorded
)

// Origin is where a request came from. UserAgent is untrusted text.
type Origin struct {
	RequestID string `json:"requestId,omitempty"` // the response's X-Request-Id; empty: not a request
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// Event is one entry of the audit log.
type Event struct {
	ID        uuid.UUID `gorm:"primaryKey" json:"id"` // UUIDv7
	At        time.Time `json:"at"`                   // UTC
	Kind      Kind      `json:"kind"`
	Outcome   Outcome   `json:"outcome"`
	UserID    uuid.UUID `json:"userId,omitzero"`    // uuid.Nil: none, or not known
	SessionID uuid.UUID `json:"sessionId,omitzero"` // uuid.Nil: none
	Email     string    `json:"email,omitempty"`    // normalized; the account's, or the submitted one
	Origin    `gorm:"embedded"`
	Detail    string `json:"detail,omitempty"` // for people, such as the reason for a failure
}

// TableName returns the table's name.
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

// Forget blanks what the events of a deleted user, and the events of the email before it had an
// account, say about a person: email, IP address, User-Agent and detail. The rest stays.
func Forget(tx *gorm.DB, user uuid.UUID, email string) error {
	return tx.Model(&Event{}).
		Where("user_id = ? OR email = ? AND user_id = ?", user, email, uuid.Nil).
		Updates(map[string]any{"email": "", "ip": "", "user_agent": "", "detail": ""}).Error
}

// Purge deletes up to limit events from before until. It returns how many it deleted.
func Purge(tx *gorm.DB, until time.Time, limit int) (int64, error) {
	return database.DeleteUntil(tx, "audit_events", "id", "at", until.Add(-time.Microsecond), limit)
}

// Newest returns the time of the newest event, or the zero time if there is none.
func Newest(ctx context.Context, db *database.DB) (time.Time, error) {
	var events []Event
	err := db.WithContext(ctx).Select("at").Order("at DESC").Limit(1).Find(&events).Error
	if err != nil || len(events) == 0 {
		return time.Time{}, err
	}
	return events[0].At, nil
}
