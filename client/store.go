package client

import (
	"context"
	"sync"
	"time"
)

// Tokens are the tokens of a session. The zero value means that there is no session.
//
// Store them as securely as a password: anyone with the refresh token can use the session.
type Tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	// RefreshAt is when to refresh the tokens, shortly before the access token expires.
	RefreshAt time.Time `json:"refreshAt"`
}

// Store stores the tokens of one session. Several Clients can share a session if they share its
// tokens, also in different processes. A Store must be safe for concurrent use.
//
// A refresh token can be used only once. Therefore a Client refreshes inside Update, where it sees
// whether another Client has already stored new tokens.
type Store interface {
	// Load returns the tokens. It is called for every request and does not have to wait for a
	// running Update.
	Load(ctx context.Context) (Tokens, error)

	// Update calls change with the stored tokens and stores the result. If change returns an error,
	// Update stores nothing and returns that error.
	//
	// Only one Update may run at a time, across all processes that share the tokens. It can take as
	// long as a few requests to the server, which change sends.
	Update(ctx context.Context, change func(Tokens) (Tokens, error)) error
}

// MemoryStore is a Store that keeps the tokens in memory. The zero value is ready to use.
type MemoryStore struct {
	updating sync.Mutex // held during an Update
	mu       sync.Mutex
	tokens   Tokens
}

// Load returns the tokens.
func (m *MemoryStore) Load(context.Context) (Tokens, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens, nil
}

// Update replaces the tokens with the result of change.
func (m *MemoryStore) Update(_ context.Context, change func(Tokens) (Tokens, error)) error {
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
