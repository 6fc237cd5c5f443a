package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

const (
	// maxReplayed is the largest body that is kept to be sent again, in bytes.
	maxReplayed = 1 << 20
	// refreshTimeout bounds a refresh with its second try, whoever waits for it.
	refreshTimeout = 30 * time.Second
	// maxRetryAfter is the longest wait before the second try.
	maxRetryAfter = 5 * time.Second
)

// invalidToken is the challenge to a token that is expired or whose session is over (RFC 6750, section 3.1).
var invalidToken = regexp.MustCompile(`(?i)\bbearer\b.*\berror="?invalid_token\b`)

// RoundTrip sends a request, with the access token if it may have it. A request with an Authorization header of its own
// is left alone.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" || !c.mayHaveToken(r) {
		return c.base.RoundTrip(r)
	}
	tokens, ahead, err := c.current(r.Context())
	if err != nil {
		return nil, giveUp(r, err)
	}
	if r, err = replayable(r); err != nil {
		return nil, err
	}
	response, err := c.send(r, tokens)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !challenges(response) {
		return response, err
	}
	fresh, err := Tokens{}, ahead
	if ahead == nil {
		fresh, err = c.refresh(r.Context(), tokens) //nolint:contextcheck // a refresh outlives its caller
	}
	switch {
	case err != nil:
		return nil, errors.Join(err, response.Body.Close())
	case fresh.AccessToken == "": // the session is over
		return response, nil
	case r.GetBody == nil && r.Body != nil && r.Body != http.NoBody:
		return response, nil
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	if r.GetBody != nil {
		r = r.Clone(r.Context()) //nolint:contextcheck // it is the request's own
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return c.send(r, fresh)
}

// mayHaveToken tells whether a request goes to an origin that gets the token, and came there through no other: what
// another one redirects here is not what the caller asked for.
func (c *Client) mayHaveToken(r *http.Request) bool {
	for r != nil {
		if !c.origins[origin(r.URL)] {
			return false
		}
		if r.Response == nil {
			return true
		}
		r = r.Response.Request
	}
	return false
}

func (c *Client) send(r *http.Request, tokens Tokens) (*http.Response, error) {
	if tokens.AccessToken != "" {
		r = r.Clone(r.Context()) // the caller's stays as it is
		r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	}
	return c.base.RoundTrip(r)
}

func challenges(response *http.Response) bool {
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		if invalidToken.MatchString(challenge) {
			return true
		}
	}
	return false
}

// replayable is the request with a body that can be had again, if that is small enough.
func replayable(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody || r.GetBody != nil || r.ContentLength > maxReplayed {
		return r, nil
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxReplayed+1))
	if err != nil {
		return nil, giveUp(r, err)
	}
	whole := r.Body
	r = r.Clone(r.Context())
	if len(head) > maxReplayed {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), whole), whole}
		return r, nil
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
	r.Body = io.NopCloser(bytes.NewReader(head))
	return r, whole.Close()
}

// giveUp closes the body of a request that will not be sent, as http.RoundTripper asks.
func giveUp(r *http.Request, err error) error {
	if r.Body == nil {
		return err
	}
	return errors.Join(err, r.Body.Close())
}

// current are the tokens to send, refreshed if it is time. Where that fails, failed says why, and the tokens may still
// do: the access token has a tenth of its life left.
func (c *Client) current(ctx context.Context) (tokens Tokens, failed, err error) {
	tokens, err = c.store.Load(ctx)
	c.mu.Lock()
	due := tokens.RefreshToken != "" && !c.now().Before(tokens.RefreshAt) && !c.now().Before(c.notBefore)
	c.mu.Unlock()
	if err != nil || !due {
		return tokens, nil, err
	}
	fresh, failed := c.refresh(ctx, tokens)
	if failed != nil {
		return tokens, failed, ctx.Err()
	}
	return fresh, nil, nil
}

// refreshing is a refresh that many may wait for.
type refreshing struct {
	done   chan struct{}
	tokens Tokens
	err    error
}

// refresh returns the successors of the tokens that the caller found stale, none if the session is over. It goes on
// when the caller's context ends: others wait too, and an answer that nobody stored would be lost.
func (c *Client) refresh(ctx context.Context, stale Tokens) (Tokens, error) {
	c.mu.Lock()
	r := c.refreshing
	if r == nil {
		r = &refreshing{done: make(chan struct{})}
		c.refreshing = r
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
			defer cancel()
			r.tokens, r.err = c.refreshStored(ctx, stale)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.refreshing = nil
			if r.err != nil { // until then requests go out with what they have, without waiting
				c.notBefore = c.now().Add(maxRetryAfter)
			}
			close(r.done)
		}()
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.tokens, r.err
	case <-ctx.Done():
		return Tokens{}, ctx.Err()
	}
}

// refreshStored refreshes what is stored, unless that is other than the stale tokens: somebody else was faster.
func (c *Client) refreshStored(ctx context.Context, stale Tokens) (Tokens, error) {
	var fresh Tokens
	err := c.store.Update(ctx, func(stored Tokens) (Tokens, error) {
		fresh = stored
		if stored.RefreshToken == "" || stored.AccessToken != stale.AccessToken {
			return stored, nil
		}
		var err error
		fresh, err = c.trade(ctx, stored.RefreshToken)
		if isRefused(err) {
			return Tokens{}, nil
		}
		return fresh, err
	})
	return fresh, err
}

// trade trades a refresh token, and tries once more if the server was out of reach: it answers the same token again
// for a while.
func (c *Client) trade(ctx context.Context, refreshToken string) (Tokens, error) {
	for last := false; ; last = true {
		tokens, err := c.ask(func() (*http.Response, error) {
			return c.anonymous.RefreshTokens(ctx, gen.RefreshTokenInput{RefreshToken: refreshToken})
		})
		var wait time.Duration
		var problem *Problem
		if errors.As(err, &problem) {
			wait = problem.RetryAfter
		}
		if err == nil || last || wait > maxRetryAfter || problem != nil && problem.Status != http.StatusServiceUnavailable {
			return tokens, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Tokens{}, err
		}
	}
}
