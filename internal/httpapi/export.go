package httpapi

import (
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
)

func toAPIExport(export *auth.Export) api.AccountExport {
	result := api.AccountExport{
		Account:           toAPIAccount(export.Account),
		UpdatedAt:         export.Account.UpdatedAt.UTC(),
		LastLoginAt:       orNull(inUTC(export.Account.LastLoginAt)),
		PreviousEmails:    []api.PreviousEmail{},
		Factors:           toAPIFactors(export.Factors),
		RecoveryCodesLeft: int32(export.Factors.RecoveryCodesLeft), //nolint:gosec // ten at most
		Passkeys:          []api.ExportedPasskey{},
		Sessions:          []api.ExportedSession{},
		Networks:          []api.ExportedNetwork{},
		Events:            []api.ExportedEvent{},
		EventsTruncated:   export.Truncated,
	}
	for _, email := range export.PreviousEmails {
		result.PreviousEmails = append(result.PreviousEmails,
			api.PreviousEmail{Email: email.Email, UndoUntil: email.ExpiresAt.UTC()})
	}
	for i := range export.Passkeys {
		result.Passkeys = append(result.Passkeys, toAPIExportedPasskey(&export.Passkeys[i]))
	}
	for i := range export.Sessions {
		result.Sessions = append(result.Sessions, toAPIExportedSession(&export.Sessions[i]))
	}
	for _, network := range export.Networks {
		result.Networks = append(result.Networks, api.ExportedNetwork{LastLoginAt: network.LastSeen.UTC()})
	}
	for i := range export.Events {
		result.Events = append(result.Events, toAPIExportedEvent(&export.Events[i]))
	}
	return result
}

func toAPIExportedPasskey(passkey *auth.Passkey) api.ExportedPasskey {
	return api.ExportedPasskey{
		Id: passkey.ID.String(), Name: passkey.Name, CreatedAt: passkey.CreatedAt.UTC(),
		LastUsedAt: orNull(inUTC(passkey.LastUsedAt)), CredentialId: base64url(passkey.CredentialID),
		Model: passkey.Model().String(), BackedUp: passkey.BackedUp,
	}
}

func toAPIExportedSession(session *auth.Session) api.ExportedSession {
	return api.ExportedSession{
		Id: session.ID.String(), CreatedAt: session.CreatedAt.UTC(), LastUsedAt: session.RotatedAt.UTC(),
		AuthTime: session.AuthTime.UTC(), Amr: session.Methods.AMR(),
		ExpiresAt: session.EndsAt().UTC(), RevokedAt: orNull(inUTC(session.RevokedAt)),
		Ip: session.IP, LastIp: session.LastIP, UserAgent: session.UserAgent,
	}
}

func toAPIExportedEvent(event *audit.Event) api.ExportedEvent {
	session := ""
	if event.SessionID != uuid.Nil {
		session = event.SessionID.String()
	}
	return api.ExportedEvent{
		Id: event.ID.String(), At: event.At.UTC(), Kind: string(event.Kind), Outcome: string(event.Outcome),
		SessionId: session, Email: event.Email, Ip: event.IP, UserAgent: event.UserAgent, RequestId: event.RequestID,
		Detail: event.Detail,
	}
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	return new(at.UTC())
}
