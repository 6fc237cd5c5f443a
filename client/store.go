package client

import (
	"context"
	"sync"
	"time"
)

// Tokens are what a session goes on with; the zero value is no session. They are as good as a password.
type Tokens struct {
	AccessToken  string    `json:"accessToken"`
	RefreshToken string    `json:"refreshToken"`
	RefreshAt    time.Time `json:"refreshAt"` // when to refresh, shortly before the access token expires
}

// Store keeps the tokens of one session for all who share it: clients, processes, machines. It may be called
// concurrently.
//
// A refresh token works once. Who refreshes therefore looks at what is stored in the same Update, and finds there what
// somebody else has refreshed meanwhile.
type Store interface {
	// Load is called for every request. It need not wait for an Update.
	Load(ctx context.Context) (Tokens, error)
	// Update stores what change makes of the tokens; after an error of change it stores nothing and returns that
	// error. Of all who share the tokens only one updates at a time; change may take as long as a few requests.
	Update(ctx context.Context, change func(Tokens) (Tokens, error)) error
}

// Memory is a Store that ends with the process. The zero value is ready for use.
type Memory struct {
	updating sync.Mutex
	mu       sync.Mutex
	tokens   Tokens
}

// Load returns the tokens.
func (m *Memory) Load(context.Context) (Tokens, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens, nil
}

// Update changes the tokens.
func (m *Memory) Update(_ context.Context, change func(Tokens) (Tokens, error)) error {
	m.updating.Lock()
	defer m.updating.Unlock()
	tokens, err := change(m.tokens)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = tokens
	return nil
}
