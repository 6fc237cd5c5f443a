package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// FindUser returns the user with this email or id, as typed by an operator, or ErrUnknownUser.
func (s *Service) FindUser(ctx context.Context, emailOrID string) (*User, error) {
	if strings.Contains(emailOrID, "@") {
		user, err := s.userByEmail(ctx, emailOrID)
		if err == nil && user == nil {
			err = ErrUnknownUser
		}
		return user, err
	}
	id, err := uuid.Parse(emailOrID)
	if err != nil {
		return nil, ErrUnknownUser
	}
	return userByID(s.db.WithContext(ctx), id)
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

// userByEmail returns the user with this email, or nil. It runs one query even if the email is
// invalid.
func (s *Service) userByEmail(ctx context.Context, typed string) (*User, error) {
	email, err := NormalizeEmail(typed)
	if err != nil {
		email = "" // no user has it
	}
	var user User
	err = s.db.WithContext(ctx).Where("email = ?", email).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nil means that there is no such user
	}
	return &user, err
}

// usersPage is how many users one query of Users reads.
const usersPage = 1000

// UserFilter selects users. The zero value selects all of them.
type UserFilter struct {
	Search   string // a part of the email or the name, in any case
	Disabled bool   // only disabled users
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
func (s *Service) Users(ctx context.Context, filter UserFilter) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		last, read := uuid.Nil, usersPage
		for read == usersPage {
			query := s.db.WithContext(ctx).Where("id > ?", last).Order("id").Limit(usersPage)
			if filter.Disabled {
				query = query.Where("disabled_at IS NOT NULL")
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
func (s *Service) LiveSessions(ctx context.Context, user uuid.UUID) ([]Session, error) {
	var sessions []Session
	err := liveSessions(s.db.WithContext(ctx), s.now()).
		Where("users.id = ?", user).
		Order("sessions.id DESC").
		Find(&sessions).Error
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return sessions, nil
}
