package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// notExported are the columns of a user's rows that the export leaves out on purpose.
var notExported = map[string]string{
	"users.password_hash":        "a secret",
	"users.generation":           "a number that ends sessions",
	"users.disabled_at":          "a disabled user cannot export",
	"users.email_verified_at":    "the export says whether it is verified",
	"sessions.user_id":           "the user's id",
	"sessions.generation":        "as above",
	"sessions.counter":           "says which refresh token is current",
	"sessions.idle_expires_at":   "expiresAt is the earlier time",
	"sessions.revoked_reason":    "the events say it",
	"known_networks.pseudonym":   "a secret, and useless without the key",
	"known_networks.user_id":     "the user's id",
	"previous_emails.user_id":    "the user's id",
	"previous_emails.position":   "the order of the list",
	"previous_emails.digest":     "a secret",
	"previous_emails.changed_at": "undoUntil says it",
	"audit_events.user_id":       "the user's id",
	"one_time_tokens.user_id":    "the user's id",
	"one_time_tokens.purpose":    "a link that waits is an email that the user has; pendingEmail is exported",
	"one_time_tokens.digest":     "a secret",
	"one_time_tokens.expires_at": "as above",
	"one_time_tokens.created_at": "as above",
	"sessions.passkey_id":        "the id of the passkey; amr says that there is one",
	"passkeys.user_id":           "the user's id",
	"passkeys.public_key":        "of use only to verify signatures",
	"passkeys.sign_count":        "as above",
	"passkeys.transports":        "how a browser reaches the device",
	"passkeys.backup_eligible":   "backedUp says whether it is",
	"totp_factors.user_id":       "the user's id",
	"totp_factors.sealed":        "a secret",
	"totp_factors.created_at":    "the export says when it was confirmed",
	"totp_factors.failures":      "the events say it",
	"recovery_codes.user_id":     "the user's id",
	"recovery_codes.digest":      "a secret",
	"recovery_codes.created_at":  "the events say it",
	"outbox":                     "emails that the user gets anyway, for some seconds",
}

// exportedAs are the names of the columns in an export.
var exportedAs = map[string]string{
	"users.id": "account.id", "users.name": "account.name", "users.bio": "account.bio", "users.email": "account.email",
	"users.created_at": "account.createdAt", "users.updated_at": "updatedAt", "users.last_login_at": "lastLoginAt",
	"one_time_tokens.email": "account.pendingEmail",
	"previous_emails.email": "previousEmails.email", "previous_emails.expires_at": "previousEmails.undoUntil",
	"sessions.id": "sessions.id", "sessions.created_at": "sessions.createdAt",
	"sessions.rotated_at": "sessions.lastUsedAt",
	"sessions.auth_time":  "sessions.authTime", "sessions.amr": "sessions.amr",
	"passkeys.id": "passkeys.id", "passkeys.name": "passkeys.name", "passkeys.created_at": "passkeys.createdAt",
	"passkeys.last_used_at": "passkeys.lastUsedAt", "passkeys.credential_id": "passkeys.credentialId",
	"passkeys.aaguid": "passkeys.model", "passkeys.backed_up": "passkeys.backedUp",
	"totp_factors.confirmed_at": "factors.createdAt", "totp_factors.last_step": "factors.lastUsedAt",
	"sessions.expires_at": "sessions.expiresAt", "sessions.revoked_at": "sessions.revokedAt", "sessions.ip": "sessions.ip",
	"sessions.last_ip": "sessions.lastIp", "sessions.user_agent": "sessions.userAgent",
	"known_networks.last_seen": "networks.lastLoginAt",
	"audit_events.id":          "events.id", "audit_events.at": "events.at", "audit_events.kind": "events.kind",
	"audit_events.outcome": "events.outcome", "audit_events.session_id": "events.sessionId",
	"audit_events.email": "events.email", "audit_events.request_id": "events.requestId", "audit_events.ip": "events.ip",
	"audit_events.user_agent": "events.userAgent", "audit_events.detail": "events.detail",
}

// aboutNobody are the tables without personal data.
var aboutNobody = []string{
	"signing_keys", "throttle", "throttle_key", "used_challenges", "health", "additive_migrations", "schema_migrations",
	"sqlite_sequence",
}

// member returns a member of an export by its path. In a list it is that of the first entry.
func member(value any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

// An export contains every column about the user, except those that are left out on purpose.
func TestExportIsComplete(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		user := userWithName(t, s)
		if _, err := s.Auth.VerifyUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		s.Logout(t, s.Login(t, user.Email).Refresh)
		tokens := s.Login(t, user.Email)
		s.AddApp(t, tokens.Access)
		tokens = s.Refresh(t, tokens.Refresh)
		s.AddPasskey(t, tokens.Access)
		changeEmail := func(email string) {
			t.Helper()
			response := s.As(t, tokens.Access, http.MethodPost, "/auth/change-email",
				"email", email, "password", servertest.Password)
			if response.Status != http.StatusAccepted {
				t.Fatalf("change: %d %s", response.Status, response.Raw)
			}
		}
		next := "next-" + user.Email
		changeEmail(next)
		confirmed := s.Post(t, "/auth/confirm-email-change", "password", servertest.Password,
			"token", s.NextLinkToken(t, next, "confirm-email-change"))
		if confirmed.Status != http.StatusOK {
			t.Fatalf("confirm: %d %s", confirmed.Status, confirmed.Raw)
		}
		changeEmail("third-" + user.Email)
		export := s.As(t, tokens.Access, http.MethodGet, "/auth/account/export")
		if export.Status != http.StatusOK {
			t.Fatalf("export: %d %s", export.Status, export.Raw)
		}
		for _, table := range databasetest.Tables(t, s.DB) {
			if slices.Contains(aboutNobody, table) || notExported[table] != "" {
				continue
			}
			columns, err := s.DB.WithContext(t.Context()).Migrator().ColumnTypes(table)
			if err != nil {
				t.Fatal(err)
			}
			for _, column := range columns {
				name := table + "." + column.Name()
				if path := exportedAs[name]; path != "" {
					if _, found := member(export.Body, path); !found {
						t.Errorf("%s is not exported as %s:\n%s", name, path, export.Raw)
					}
				} else if notExported[name] == "" {
					t.Errorf("%s is neither exported nor left out on purpose", name)
				}
			}
		}
		for path, want := range map[string]any{
			"account.email": next, "account.pendingEmail": "third-" + user.Email, "previousEmails.email": user.Email,
			"account.emailVerified": true, "eventsTruncated": false,
		} {
			if got, _ := member(export.Body, path); got != want {
				t.Errorf("%s is %v, want %v", path, got, want)
			}
		}
		sessions, _ := export.Body["sessions"].([]any)
		if len(sessions) != 2 {
			t.Errorf("%d sessions, want the current one and the one that has ended", len(sessions))
		}
		for _, secret := range []string{"argon2", user.PasswordHash, tokens.Refresh, "digest", "hash"} {
			if strings.Contains(export.Raw, secret) {
				t.Errorf("the export contains %q", secret)
			}
		}
	})
}

// An export has the newest 1,000 events, and says whether there are more. Exports are limited.
func TestExportedEvents(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		user := userWithName(t, s)
		tokens := s.Login(t, user.Email)
		add := func(events int) {
			rows := make([]audit.Event, events)
			for i := range rows {
				rows[i] = audit.Event{At: s.Clock.Now(), Kind: audit.Login, UserID: user.ID, Detail: fmt.Sprint(i)}
			}
			if err := audit.Record(s.DB.WithContext(t.Context()), rows...); err != nil {
				t.Fatal(err)
			}
		}
		if err := audit.Record(s.DB.WithContext(t.Context()),
			audit.Event{At: s.Clock.Now(), UserID: uuid.New(), Email: user.Email, Detail: "of an earlier owner"}); err != nil {
			t.Fatal(err)
		}
		add(998) // and registered, logged in
		for exported, truncated := range []bool{false, true} {
			response := s.As(t, tokens.Access, http.MethodGet, "/auth/account/export")
			events, _ := response.Body["events"].([]any)
			if len(events) != 1000 || response.Body["eventsTruncated"] != truncated {
				t.Errorf("export %d: %d events, truncated: %v", exported, len(events), response.Body["eventsTruncated"])
			}
			if strings.Contains(response.Raw, "of an earlier owner") {
				t.Error("the export has an event of somebody else")
			}
			first, _ := member(response.Body, "events.kind")
			if want := map[bool]string{false: "login", true: "export-account"}[truncated]; first != want {
				t.Errorf("the newest event is %v, want %s", first, want)
			}
		}
		for i := range 9 {
			response := s.As(t, tokens.Access, http.MethodGet, "/auth/account/export")
			if want := map[bool]int{true: 200, false: 429}[i < 8]; response.Status != want {
				t.Errorf("export %d: %d, want %d", i+3, response.Status, want)
			}
		}
	})
}
