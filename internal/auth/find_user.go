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

// FindUser is the user whom an operator names, by address or by id. Errors: ErrUnknownUser.
func (a *Authority) FindUser(ctx context.Context, named string) (*User, error) {
	if strings.Contains(named, "@") {
		user, err := a.findUser(ctx, named)
		if err == nil && user == nil {
			err = ErrUnknownUser
		}
		return user, err
	}
	id, err := uuid.Parse(named)
	if err != nil {
		return nil, ErrUnknownUser
	}
	return userOf(a.db.WithContext(ctx), id)
}

// userOf is the user of an id. Errors: ErrUnknownUser.
func userOf(tx *gorm.DB, id uuid.UUID) (*User, error) {
	var user User
	err := tx.Where("id = ?", id).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrUnknownUser
	}
	return &user, err
}

// usersPage is how many users one query of Users reads.
const usersPage = 1000

// Users are all users, or the disabled ones, by id. They are read in pages, so that it takes the memory of one
// page; who comes or goes meanwhile may be among them or not.
func (a *Authority) Users(ctx context.Context, onlyDisabled bool) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		last, read := uuid.Nil, usersPage
		for read == usersPage {
			query := a.db.WithContext(ctx).Where("id > ?", last).Order("id").Limit(usersPage)
			if onlyDisabled {
				query = query.Where("disabled_at IS NOT NULL")
			}
			var page []User
			if err := query.Find(&page).Error; err != nil {
				yield(nil, fmt.Errorf("users: %w", err))
				return
			}
			for i := range page {
				if !yield(&page[i], nil) {
					return
				}
				last = page[i].ID
			}
			read = len(page)
		}
	}
}

// LiveSessions are the sessions that a user can go on with, the latest login first.
func (a *Authority) LiveSessions(ctx context.Context, user uuid.UUID) ([]Session, error) {
	var sessions []Session
	err := liveSessions(a.db.WithContext(ctx), a.now()).Where("users.id = ?", user).Order("sessions.id DESC").Find(&sessions).Error
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return sessions, nil
}
