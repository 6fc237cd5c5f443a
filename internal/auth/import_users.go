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
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
)

// MaxImportBatch is the most users ImportUsers takes at once. On SQLite others wait to write while a batch is stored.
const MaxImportBatch = 1000

// importStatement is how many rows one statement stores. SQLite's driver binds n values in n² steps.
const importStatement = 50

// ImportedUser is an account as another system kept it.
type ImportedUser struct {
	ID           uuid.UUID // zero: a new one
	Name         string
	Bio          *string
	Email        string
	PasswordHash *string   // one that password.CheckHash passes; nil: nobody can log in until the password was reset
	CreatedAt    time.Time // zero: now
	Disabled     bool
}

// ImportUsers stores up to MaxImportBatch accounts in one transaction, or, in a dry run, only says what it would
// do. An address or id must not occur twice among them. The outcome of each is nil when it was stored,
// ErrAddressTaken when it was there already, by that address and, if it brings one, that id, and otherwise why
// it was refused: ErrAddress, ErrName, ErrBio, password.ErrHash or ErrIDTaken.
//
// One event a batch is recorded, not one a user: an import makes accounts by the hundred thousand.
//
// So an import that was cut off anywhere is run again from its beginning. Whether an account is there is not
// asked beforehand: the statement that stores those whose address and id are free says which. The error is of the
// batch as a whole, of which nothing may be reported as stored then.
func (a *Authority) ImportUsers(ctx context.Context, batch []ImportedUser, dryRun bool) (outcomes []error, err error) {
	now := a.now()
	outcomes = make([]error, len(batch))
	rows := make([]*User, len(batch)) // nil: refused
	for i := range batch {
		rows[i], outcomes[i] = a.imported(&batch[i], now)
	}
	work := func(tx *gorm.DB) error {
		stored := make(map[uuid.UUID]bool)
		if !dryRun {
			if err := a.insertFree(tx, rows, stored); err != nil {
				return err
			}
		}
		return judgeImported(tx, batch, rows, stored, outcomes, dryRun)
	}
	if dryRun {
		err = work(a.db.WithContext(ctx))
	} else {
		err = database.Transaction(ctx, a.db, work)
	}
	if err != nil {
		return nil, fmt.Errorf("import users: %w", err)
	}
	return outcomes, nil
}

// imported is the row of an account. Errors: ErrAddress, ErrName, ErrBio, password.ErrHash.
func (a *Authority) imported(account *ImportedUser, now time.Time) (*User, error) {
	email, err := NormalizeAddress(account.Email)
	if err != nil {
		return nil, err
	}
	if err := checkProfile(account.Name, account.Bio); err != nil {
		return nil, err
	}
	row := User{ID: account.ID, Name: account.Name, Bio: account.Bio, Email: email, PasswordHash: a.absent, Generation: 1, CreatedAt: now, UpdatedAt: now}
	if account.PasswordHash != nil {
		if err := password.CheckHash(*account.PasswordHash); err != nil {
			return nil, err
		}
		row.PasswordHash = *account.PasswordHash
	}
	if !account.CreatedAt.IsZero() {
		row.CreatedAt = account.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	if account.Disabled {
		row.DisabledAt = &now
	}
	if row.ID == uuid.Nil {
		row.ID, err = uuid.NewV7()
	}
	return &row, err
}

// insertFree stores the rows whose address and id nobody has, and notes their ids.
func (a *Authority) insertFree(tx *gorm.DB, rows []*User, stored map[uuid.UUID]bool) error {
	for some := range slices.Chunk(rows, importStatement) {
		var places []string
		var values []any
		for _, row := range some {
			if row != nil {
				places = append(places, "(?, ?, ?, ?, ?, ?, ?, ?, ?)")
				values = append(values, row.ID, row.Name, row.Bio, row.Email, row.PasswordHash, row.Generation, row.DisabledAt, row.CreatedAt, row.UpdatedAt)
			}
		}
		if len(places) == 0 {
			continue
		}
		var ids []uuid.UUID
		err := tx.Raw(`
			INSERT INTO users (id, name, bio, email, password_hash, generation, disabled_at, created_at, updated_at)
			VALUES `+strings.Join(places, ", ")+` ON CONFLICT DO NOTHING RETURNING id`, values...).Scan(&ids).Error
		if err != nil {
			return err
		}
		for _, id := range ids {
			stored[id] = true
		}
	}
	if len(stored) == 0 {
		return nil
	}
	event := a.success(audit.ImportUsers, nil, nil, Client{})
	event.Detail = fmt.Sprintf("users: %d", len(stored))
	return audit.Record(tx, event)
}

// errImportAgain is of an account that stood in the way when the batch was stored and was deleted by the time it
// was looked for.
var errImportAgain = errors.New("the address or id was taken for a moment; import it again")

// judgeImported finds the outcomes of the rows that were not stored, by who has their addresses and ids.
func judgeImported(tx *gorm.DB, batch []ImportedUser, rows []*User, stored map[uuid.UUID]bool, outcomes []error, dryRun bool) error {
	var addresses []string
	var ids []uuid.UUID
	for i, row := range rows {
		if row == nil || stored[row.ID] {
			continue
		}
		addresses = append(addresses, row.Email)
		if batch[i].ID != uuid.Nil {
			ids = append(ids, row.ID)
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	var present []User
	if err := tx.Select("id", "email").Where("email IN ? OR id IN ?", addresses, ids).Find(&present).Error; err != nil {
		return err
	}
	byAddress, known := make(map[string]uuid.UUID), make(map[uuid.UUID]bool)
	for _, user := range present {
		byAddress[user.Email], known[user.ID] = user.ID, true
	}
	for i, row := range rows {
		if row == nil || stored[row.ID] {
			continue
		}
		id, taken := byAddress[row.Email]
		switch {
		case taken && (batch[i].ID == uuid.Nil || batch[i].ID == id):
			outcomes[i] = ErrAddressTaken
		case taken || known[row.ID]:
			outcomes[i] = ErrIDTaken
		case !dryRun:
			outcomes[i] = errImportAgain
		}
	}
	return nil
}
