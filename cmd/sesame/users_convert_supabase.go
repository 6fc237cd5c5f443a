package main

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// supabaseUser is a row of the table auth.users of Supabase. Of the columns of the table, an export
// needs the id and the email.
type supabaseUser struct {
	ID                uuid.UUID      `json:"id"`
	Email             string         `json:"email"`
	EncryptedPassword string         `json:"encrypted_password"` // empty: a user of another login, such as OAuth
	EmailConfirmedAt  postgresTime   `json:"email_confirmed_at"`
	UserMetadata      jsontext.Value `json:"raw_user_meta_data"` // an object; in CSV the text of one
	CreatedAt         postgresTime   `json:"created_at"`
	LastSignInAt      postgresTime   `json:"last_sign_in_at"`
	BannedUntil       postgresTime   `json:"banned_until"`
	DeletedAt         postgresTime   `json:"deleted_at"`
}

// convertSupabase keeps the id, which other tables of the application refer to. A user who is
// banned is disabled, whatever the end of the ban.
func convertSupabase(exported []byte, now time.Time) (userRecord, error) {
	var user supabaseUser
	if err := json.Unmarshal(exported, &user); err != nil {
		return userRecord{}, err
	}
	switch {
	case !user.DeletedAt.at.IsZero():
		return userRecord{}, errDeleted
	case user.Email == "":
		return userRecord{}, errNoEmail
	}
	name, err := supabaseName(user.UserMetadata)
	if err != nil {
		return userRecord{}, err
	}
	if name == "" {
		name = user.Email
	}
	return userRecord{
		ID: user.ID, Email: user.Email, EmailVerified: !user.EmailConfirmedAt.at.IsZero(), Name: name,
		PasswordHash: orNil(user.EncryptedPassword), CreatedAt: user.CreatedAt.at, LastLoginAt: user.LastSignInAt.at,
		Disabled: user.BannedUntil.at.After(now),
	}, nil
}

// supabaseName returns the name in the metadata of a user, if there is one. The application chooses
// what the metadata contains, so other values are no error.
func supabaseName(metadata jsontext.Value) (string, error) {
	if metadata.Kind() == '"' {
		var text string
		if err := json.Unmarshal(metadata, &text); err != nil {
			return "", err
		}
		metadata = jsontext.Value(text)
	}
	var members map[string]any
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &members); err != nil {
			return "", errors.New("the field raw_user_meta_data is not a JSON object")
		}
	}
	for _, member := range []string{"name", "full_name"} {
		if name, ok := members[member].(string); ok && name != "" {
			return name, nil
		}
	}
	return "", nil
}

// postgresTime is a timestamp with time zone as PostgreSQL prints it, in JSON or as text. It is zero
// for NULL.
type postgresTime struct{ at time.Time }

// UnmarshalText parses a time. PostgreSQL leaves out the minutes of a time zone if they are zero.
func (t *postgresTime) UnmarshalText(text []byte) (err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07"} {
		if t.at, err = time.Parse(layout, string(text)); err == nil {
			return nil
		}
	}
	return errors.New("not a time of PostgreSQL")
}
