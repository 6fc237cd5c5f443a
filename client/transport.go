package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

const (
	// maxReplayed is the size up to which a request body is buffered to be sent again, in bytes.
	maxReplayed = 1 << 20
	// refreshTimeout bounds a refresh, including its second attempt.
	refreshTimeout = 30 * time.Second
	// maxRetryAfter is the longest wait before the second attempt.
	maxRetryAfter = 5 * time.Second
)

// invalidToken matches the challenge for a token that has expired or whose session has ended (RFC 6750, section 3.1).
var invalidToken = regexp.MustCompile(`(?i)\bbearer\b.*\berror="?invalid_token\b`)

// RoundTrip sends a request. It adds the access token if the request goes to the server or a listed origin and has no
// Authorization header.
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
	case fresh.AccessToken == "": // the session has ended
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

// mayHaveToken reports whether a request goes to an origin that gets the token, and was not redirected by another origin:
// the caller did not ask for such a request.
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
		r = r.Clone(r.Context()) // the caller's request must not change
		r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	}
	return c.base.RoundTrip(r)
}

func challenges(response *http.Response) bool {
	return slices.ContainsFunc(response.Header.Values("WWW-Authenticate"), invalidToken.MatchString)
}

// replayable returns the request with a body that can be sent again, if it is small enough.
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

// giveUp closes the body of a request that will not be sent, as http.RoundTripper requires.
func giveUp(r *http.Request, err error) error {
	if r.Body == nil {
		return err
	}
	return errors.Join(err, r.Body.Close())
}

// current returns the tokens to send, refreshed if it is time. If the refresh fails, failed says why, and the tokens may
// still work: the access token has a tenth of its lifetime left.
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

// refreshing is a refresh that several requests may wait for.
type refreshing struct {
	done   chan struct{}
	tokens Tokens
	err    error
}

// refresh returns the next tokens after stale, or none if the session has ended. It continues after the caller's context
// is done: others wait for it too, and the response must be stored.
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
			if r.err != nil { // until then, requests use the tokens they have
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

// refreshStored refreshes the stored tokens, unless they are not stale any more because another client was faster.
func (c *Client) refreshStored(ctx context.Context, stale Tokens) (Tokens, error) {
	var fresh Tokens
	err := c.store.Update(ctx, func(stored Tokens) (Tokens, error) {
		fresh = stored
		if stored.RefreshToken == "" || stored.AccessToken != stale.AccessToken {
			return stored, nil
		}
		var err error
		fresh, err = c.exchange(ctx, stored.RefreshToken)
		if isRefused(err) {
			return Tokens{}, nil
		}
		return fresh, err
	})
	return fresh, err
}

// exchange exchanges a refresh token. It tries twice if the server is unreachable: for a while, the server returns the
// same new tokens again.
func (c *Client) exchange(ctx context.Context, refreshToken string) (Tokens, error) {
	for last := false; ; last = true {
		tokens, err := c.requestTokens(func() (*http.Response, error) {
			return c.anonymous.RefreshTokens(ctx, gen.RefreshTokenInput{RefreshToken: refreshToken})
		})
		var wait time.Duration
		problem, _ := errors.AsType[*Problem](err)
		if problem != nil {
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
