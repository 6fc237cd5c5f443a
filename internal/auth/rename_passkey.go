package auth

import (
	"context"
	"fmt"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RenamePasskey changes the name of a passkey of the user of the access token. It returns
// ErrUnknownPasskey or ErrInvalidName.
func (s *Service) RenamePasskey(ctx context.Context, access *Access, id, name string) (*Passkey, error) {
	if length := utf8.RuneCountInString(name); length < 1 || length > MaxPasskeyName || !isStorable(name) {
		return nil, ErrInvalidName
	}
	var renamed Passkey
	err := s.db.Statement(ctx, func(db *gorm.DB) error {
		renamed = Passkey{}
		update := db.Model(&renamed).Clauses(clause.Returning{}).
			Where("id = ? AND user_id = ?", passkeyID(id), access.User.ID).Updates(map[string]any{"name": name})
		if update.Error == nil && update.RowsAffected == 0 {
			return ErrUnknownPasskey
		}
		return update.Error
	})
	if err != nil {
		return nil, fmt.Errorf("rename passkey: %w", err)
	}
	return &renamed, nil
}
