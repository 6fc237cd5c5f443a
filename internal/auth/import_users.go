package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/totp"
)

// MaxImportBatch is the maximum number of users that ImportUsers takes at once. On SQLite other
// writers wait while a batch is stored.
const MaxImportBatch = 1000

// importStatement is how many rows one statement stores. SQLite's driver binds n values in n²
// steps.
const importStatement = 50

// ImportedUser describes an account from another system.
type ImportedUser struct {
	ID           uuid.UUID // zero: make a new one
	Name         string
	Bio          *string
	Email        string
	PasswordHash *string   // accepted by password.CheckHash; nil: the user cannot log in before resetting the password
	CreatedAt    time.Time // zero: now
	LastLoginAt  time.Time // zero: never
	Disabled     bool
	Unverified   bool        // nobody vouches for the email
	TOTPSecret   totp.Secret // of the authenticator app, which is the second factor; nil: none
}

// ImportUsers stores up to MaxImportBatch accounts in one transaction. In a dry run it only reports
// what it would do. No email and no id may occur twice in a batch.
//
// The outcome of each account is nil if it was stored, ErrEmailTaken if it existed already (with
// the same email and, if the account has one, the same id), and otherwise the reason why it was
// refused: ErrInvalidEmail, ErrInvalidName, ErrInvalidBio, password.ErrHash or ErrIDTaken. The
// error concerns the whole batch; if it is not nil, nothing may be reported as stored.
//
// So an interrupted import can be repeated from the start. Existing accounts are skipped by the
// statement that stores the others, not by a read before it. Imports can be large, so one event is
// recorded for each batch, not for each user.
func (s *Service) ImportUsers(ctx context.Context, batch []ImportedUser, dryRun bool) (outcomes []error, err error) {
	now := s.now()
	outcomes = make([]error, len(batch))
	rows := make([]*User, len(batch)) // nil: refused
	for i := range batch {
		rows[i], outcomes[i] = s.newImportedUser(&batch[i], now)
	}
	work := func(tx *gorm.DB) error {
		var stored map[uuid.UUID]bool
		if !dryRun {
			var err error
			if stored, err = s.insertMissing(tx, rows); err != nil {
				return err
			}
			if err := s.insertTOTP(tx, batch, rows, stored, now); err != nil {
				return err
			}
		}
		existing, err := findExisting(tx, batch, rows, stored, now)
		if err != nil {
			return err
		}
		for i, row := range rows {
			switch {
			case row == nil: // refused before
			case stored[row.ID]:
				outcomes[i] = nil // if the transaction runs again
			default:
				outcomes[i] = existing.outcome(batch[i].ID, row, dryRun)
			}
		}
		return nil
	}
	if dryRun {
		err = work(s.db.WithContext(ctx))
	} else {
		err = s.db.Transaction(ctx, work)
	}
	if err != nil {
		return nil, fmt.Errorf("import users: %w", err)
	}
	return outcomes, nil
}

// newImportedUser returns the row of an account. It returns ErrInvalidEmail, ErrInvalidName,
// ErrInvalidBio or password.ErrHash.
func (s *Service) newImportedUser(account *ImportedUser, now time.Time) (*User, error) {
	email, err := NormalizeEmail(account.Email)
	if err != nil {
		return nil, err
	}
	if err := checkProfile(account.Name, account.Bio); err != nil {
		return nil, err
	}
	row := User{
		ID: account.ID, Name: account.Name, Bio: account.Bio, Email: email, Generation: 1,
		CreatedAt: now, UpdatedAt: now,
	}
	if account.PasswordHash != nil {
		if err := password.CheckHash(*account.PasswordHash); err != nil {
			return nil, err
		}
		row.PasswordHash = *account.PasswordHash
	}
	if !account.CreatedAt.IsZero() {
		row.CreatedAt = account.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	if !account.LastLoginAt.IsZero() {
		row.LastLoginAt = new(account.LastLoginAt.UTC().Truncate(time.Microsecond))
	}
	if account.Disabled {
		row.DisabledAt = &now
	}
	if !account.Unverified {
		row.EmailVerifiedAt = &now
	}
	if row.ID == uuid.Nil {
		row.ID, err = uuid.NewV7()
	}
	return &row, err
}

// insertMissing stores the rows whose email and id are free, and returns their ids.
func (s *Service) insertMissing(tx *gorm.DB, rows []*User) (map[uuid.UUID]bool, error) {
	stored := make(map[uuid.UUID]bool)
	for some := range slices.Chunk(rows, importStatement) {
		var places []string
		var values []any
		for _, row := range some {
			if row != nil {
				places = append(places, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
				values = append(values, row.ID, row.Name, row.Bio, row.Email, row.PasswordHash, row.Generation,
					row.DisabledAt, row.LastLoginAt, row.CreatedAt, row.UpdatedAt, row.EmailVerifiedAt)
			}
		}
		if len(places) == 0 {
			continue
		}
		var ids []uuid.UUID
		err := tx.Raw(`
			INSERT INTO users (id, name, bio, email, password_hash, generation, disabled_at, last_login_at,
				created_at, updated_at, email_verified_at)
			VALUES `+strings.Join(places, ", ")+` ON CONFLICT DO NOTHING RETURNING id`, values...).Scan(&ids).Error
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			continue
		}
		// A previous email of another user counts as taken, as in insertUser.
		var taken []uuid.UUID
		err = tx.Raw(`DELETE FROM users WHERE id IN ? AND email IN (?) RETURNING id`,
			ids, validPreviousEmails(tx, s.now()).Select("email")).Scan(&taken).Error
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !slices.Contains(taken, id) {
				stored[id] = true
			}
		}
	}
	if len(stored) == 0 {
		return stored, nil
	}
	event := s.success(audit.ImportUsers, nil, Client{})
	event.Detail = fmt.Sprintf("users: %d", len(stored))
	return stored, audit.Record(tx, event)
}

// insertTOTP stores the authenticator apps of the accounts that were stored.
func (s *Service) insertTOTP(
	tx *gorm.DB, batch []ImportedUser, rows []*User, stored map[uuid.UUID]bool, now time.Time,
) error {
	var factors []TOTPFactor
	for i, row := range rows {
		if row != nil && stored[row.ID] && batch[i].TOTPSecret != nil {
			factors = append(factors, TOTPFactor{
				UserID: row.ID, Sealed: s.sealTOTP(batch[i].TOTPSecret, row.ID), CreatedAt: now, ConfirmedAt: &now,
			})
		}
	}
	if len(factors) == 0 {
		return nil
	}
	return tx.CreateInBatches(factors, importStatement).Error
}

// errImportAgain is the outcome of an account whose email or id was taken when the batch was
// stored, and free again when findExisting looked for the other account.
var errImportAgain = errors.New("the email or id was taken for a moment; import it again")

// existingUsers are accounts that have an email or id of the batch.
type existingUsers struct {
	byEmail map[string]uuid.UUID
	ids     map[uuid.UUID]bool
}

// findExisting looks for the accounts that have the emails and ids of the rows that were not
// stored.
func findExisting(
	tx *gorm.DB, batch []ImportedUser, rows []*User, stored map[uuid.UUID]bool, now time.Time,
) (existingUsers, error) {
	existing := existingUsers{byEmail: make(map[string]uuid.UUID), ids: make(map[uuid.UUID]bool)}
	var emails []string
	var ids []uuid.UUID
	for i, row := range rows {
		if row == nil || stored[row.ID] {
			continue
		}
		emails = append(emails, row.Email)
		if batch[i].ID != uuid.Nil {
			ids = append(ids, row.ID)
		}
	}
	if len(emails) == 0 {
		return existing, nil
	}
	var users []User
	if err := tx.Select("id", "email").Where("email IN ? OR id IN ?", emails, ids).Find(&users).Error; err != nil {
		return existing, err
	}
	var previous []PreviousEmail
	if err := validPreviousEmails(tx, now).Where("email IN ?", emails).Find(&previous).Error; err != nil {
		return existing, err
	}
	for _, email := range previous {
		existing.byEmail[email.Email] = email.UserID
	}
	for _, user := range users {
		existing.byEmail[user.Email], existing.ids[user.ID] = user.ID, true
	}
	return existing, nil
}

// outcome returns the outcome of a row that was not stored. given is the id that came with it, or
// uuid.Nil.
func (e existingUsers) outcome(given uuid.UUID, row *User, dryRun bool) error {
	id, taken := e.byEmail[row.Email]
	switch {
	case taken && (given == uuid.Nil || given == id):
		return ErrEmailTaken
	case taken || e.ids[row.ID]:
		return ErrIDTaken
	case dryRun:
		return nil
	default:
		return errImportAgain
	}
}
