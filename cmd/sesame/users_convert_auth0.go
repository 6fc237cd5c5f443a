package main

import (
	"cmp"
	"time"

	"github.com/go-json-experiment/json"
)

// auth0User is a line of an export of Auth0. The export of the password hashes has no name and no
// times, the bulk export of the users has no hash. A line may have all fields, if somebody joined
// the two.
type auth0User struct {
	Email         string     `json:"email"`
	EmailVerified bool       `json:"email_verified"`
	Identifiers   []struct { // in newer exports of the hashes, sometimes instead of the fields above
		Type     string `json:"type"`
		Value    string `json:"value"`
		Verified bool   `json:"verified"`
	} `json:"identifiers"`
	PasswordHash string    `json:"passwordHash"`
	Name         string    `json:"name"`
	CreatedAt    time.Time `json:"created_at"`
	LastLogin    time.Time `json:"last_login"`
	Blocked      bool      `json:"blocked"`
}

// convertAuth0 leaves out the id, because it is not a UUID. Users without a name get their email as
// one, as in Auth0 itself.
func convertAuth0(exported []byte, _ time.Time) (userRecord, error) {
	var user auth0User
	if err := json.Unmarshal(exported, &user); err != nil {
		return userRecord{}, err
	}
	for _, identifier := range user.Identifiers {
		if user.Email == "" && identifier.Type == "email" {
			user.Email, user.EmailVerified = identifier.Value, identifier.Verified
		}
	}
	if user.Email == "" {
		return userRecord{}, errNoEmail
	}
	return userRecord{
		Email: user.Email, EmailVerified: user.EmailVerified, Name: cmp.Or(user.Name, user.Email),
		PasswordHash: orNil(user.PasswordHash), CreatedAt: user.CreatedAt, LastLoginAt: user.LastLogin,
		Disabled: user.Blocked,
	}, nil
}
