package client

import (
	"context"
	"sync"
	"time"
)

// Tokens are the tokens of a session. The zero value means that there is no session. Protect them like a password.
type Tokens struct {
	AccessToken  string    `json:"accessToken"`
	RefreshToken string    `json:"refreshToken"`
	RefreshAt    time.Time `json:"refreshAt"` // when to refresh, shortly before the access token expires
}

// Store stores the tokens of one session for everything that shares it: clients, processes, machines. It must be safe for
// concurrent use.
//
// A refresh token works once. So a Client refreshes inside Update, where it sees the tokens that another one has stored in
// the meantime.
type Store interface {
	// Load returns the tokens. It is called for every request, and need not wait for an Update.
	Load(ctx context.Context) (Tokens, error)
	// Update calls change with the stored tokens and stores its result. If change returns an error, Update stores nothing
	// and returns that error. Only one Update may run at a time, in all processes that share the tokens. change may take as
	// long as a few requests.
	Update(ctx context.Context, change func(Tokens) (Tokens, error)) error
}

// Memory is a Store that lasts as long as the process. The zero value is ready to use.
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

// Update replaces the tokens with the result of change.
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
