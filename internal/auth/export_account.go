package auth

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// maxExportedEvents is how many events an export contains.
const maxExportedEvents = 1000

// Export is all data of an account, without its secrets.
type Export struct {
	Account        *Account
	PreviousEmails []PreviousEmail
	Factors        *Factors
	Passkeys       []Passkey
	Sessions       []Session
	Networks       []KnownNetwork
	Events         []audit.Event // the newest first
	Truncated      bool          // there are more events
}

// ExportAccount returns all data of the account of the access token. It returns *ThrottledError.
func (s *Service) ExportAccount(ctx context.Context, access *Access, client Client) (*Export, error) {
	user := access.User
	event := s.failure(audit.ExportAccount, user, client)
	reservation, err := s.reserve(ctx, event, throttle.Charge{Limit: exportsPerAccount, Subject: user.ID.String()})
	if err != nil {
		return nil, fmt.Errorf("export account: %w", err)
	}
	reservation.End()
	export, err := s.export(ctx, access)
	if err == nil {
		err = s.record(ctx, s.success(audit.ExportAccount, user, client))
	}
	if err != nil {
		return nil, fmt.Errorf("export account: %w", err)
	}
	return export, nil
}

func (s *Service) export(ctx context.Context, access *Access) (*Export, error) {
	account, err := s.Account(ctx, access)
	if err != nil {
		return nil, err
	}
	export := &Export{Account: account}
	db := s.db.WithContext(ctx)
	ofUser := map[string]any{"user_id": access.User.ID}
	previous := validPreviousEmails(db, s.now()).Where(ofUser).Order("position")
	if err := previous.Find(&export.PreviousEmails).Error; err != nil {
		return nil, err
	}
	if export.Factors, err = s.Factors(ctx, access.User.ID); err != nil {
		return nil, err
	}
	if export.Passkeys, err = s.Passkeys(ctx, access.User.ID); err != nil {
		return nil, err
	}
	if err := db.Where(ofUser).Order("id DESC").Find(&export.Sessions).Error; err != nil {
		return nil, err
	}
	if err := db.Where(ofUser).Order("last_seen DESC").Find(&export.Networks).Error; err != nil {
		return nil, err
	}
	err = db.Where(ofUser).Order("at DESC, id DESC").Limit(maxExportedEvents + 1).Find(&export.Events).Error
	if export.Truncated = len(export.Events) > maxExportedEvents; export.Truncated {
		export.Events = export.Events[:maxExportedEvents]
	}
	return export, err
}
