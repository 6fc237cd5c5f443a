package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Factors are the second factors of a user.
type Factors struct {
	TOTP              *TOTPFactor // confirmed; nil: none
	RecoveryCodesLeft int64
}

// Factors returns the second factors of a user.
func (r *Reader) Factors(ctx context.Context, user uuid.UUID) (*Factors, error) {
	factor, err := secondFactor(r.db.WithContext(ctx), user)
	if err != nil {
		return nil, fmt.Errorf("factors: %w", err)
	}
	left, err := countRecoveryCodes(r.db.WithContext(ctx), user)
	if err != nil {
		return nil, fmt.Errorf("factors: %w", err)
	}
	return &Factors{TOTP: factor, RecoveryCodesLeft: left}, nil
}
