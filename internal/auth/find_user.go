package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/database"
)

// Reader reads users and sessions. Commands that change nothing use it without a Service, which
// needs keys and a secret. It is safe for concurrent use.
type Reader struct {
	db    *database.DB
	clock func() time.Time
}

// NewReader returns a Reader. now is the clock.
func NewReader(db *database.DB, now func() time.Time) *Reader { return &Reader{db, now} }

// now returns the time in UTC and in microseconds, as both engines store it.
func (r *Reader) now() time.Time { return r.clock().UTC().Truncate(time.Microsecond) }

// FindUser returns the user with this email or id, as typed by an operator, or ErrUnknownUser.
func (r *Reader) FindUser(ctx context.Context, emailOrID string) (*User, error) {
	if strings.Contains(emailOrID, "@") {
		user, err := r.userByEmail(ctx, emailOrID)
		if err == nil && user == nil {
			err = ErrUnknownUser
		}
		return user, err
	}
	id, err := uuid.Parse(emailOrID)
	if err != nil {
		return nil, ErrUnknownUser
	}
	return userByID(r.db.WithContext(ctx), id)
}

// userByID returns the user with this id, or ErrUnknownUser.
func userByID(tx *gorm.DB, id uuid.UUID) (*User, error) {
	var user User
	err := tx.Where("id = ?", id).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrUnknownUser
	}
	return &user, err
}

// holdUser reports whether a user exists, and keeps it from being deleted until the transaction
// ends.
func holdUser(tx *gorm.DB, id uuid.UUID) (exists bool, err error) {
	var ids []uuid.UUID
	err = tx.Model(&User{}).Clauses(clause.Locking{Strength: "KEY SHARE"}).Where("id = ?", id).Pluck("id", &ids).Error
	return len(ids) > 0, err
}

// userByEmail returns the user with this email, or nil. It runs one query even if the email is
// invalid.
func (r *Reader) userByEmail(ctx context.Context, typed string) (*User, error) {
	email, err := NormalizeEmail(typed)
	if err != nil {
		email = "" // no user has it
	}
	return found[User](r.db.WithContext(ctx).Where("email = ?", email))
}

// found returns the row that a query selects, or nil.
func found[T any](query *gorm.DB) (*T, error) {
	var row T
	err := query.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nil means that there is no such row
	}
	return &row, err
}

// usersPage is how many users one query of Users reads.
const usersPage = 1000

// UserFilter selects users. The zero value selects all of them.
type UserFilter struct {
	Search     string // a part of the email or the name, in any case
	Disabled   bool   // only disabled users
	Unverified bool   // only users whose email is not verified
}

func (f UserFilter) selects(user *User) bool {
	part := strings.ToLower(f.Search)
	return strings.Contains(user.Email, part) || strings.Contains(strings.ToLower(user.Name), part)
}

// Users returns the users that filter selects, ordered by id. It reads them in pages, and keeps
// only one page in memory. It may or may not return users who are created or deleted meanwhile.
//
// The search runs here and not in SQL, because the engines differ in how they ignore case outside
// ASCII.
func (r *Reader) Users(ctx context.Context, filter UserFilter) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		last, read := uuid.Nil, usersPage
		for read == usersPage {
			query := r.db.WithContext(ctx).Where("id > ?", last).Order("id").Limit(usersPage)
			if filter.Disabled {
				query = query.Where("disabled_at IS NOT NULL")
			}
			if filter.Unverified {
				query = query.Where("email_verified_at IS NULL")
			}
			var page []User
			if err := query.Find(&page).Error; err != nil {
				yield(nil, fmt.Errorf("users: %w", err))
				return
			}
			for i := range page {
				last = page[i].ID
				if filter.selects(&page[i]) && !yield(&page[i], nil) {
					return
				}
			}
			read = len(page)
		}
	}
}

// LiveSessions returns a user's valid sessions, the latest login first.
func (r *Reader) LiveSessions(ctx context.Context, user uuid.UUID) ([]Session, error) {
	var sessions []Session
	err := liveSessions(r.db.WithContext(ctx), r.now()).
		Where("users.id = ?", user).
		Order("sessions.id DESC").
		Find(&sessions).Error
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return sessions, nil
}

// CountAccounts returns the number of users, and of valid sessions.
func (r *Reader) CountAccounts(ctx context.Context) (users, sessions int64, err error) {
	if users, sessions, err = countAccounts(r.db.WithContext(ctx), r.now()); err != nil {
		return 0, 0, fmt.Errorf("count accounts: %w", err)
	}
	return users, sessions, nil
}

func countAccounts(tx *gorm.DB, now time.Time) (users, sessions int64, err error) {
	if err := tx.Model(&User{}).Count(&users).Error; err != nil {
		return 0, 0, err
	}
	err = liveSessions(tx, now).Count(&sessions).Error
	return users, sessions, err
}
