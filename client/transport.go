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
	// maxReplayed is the maximum size of a request body that is buffered to be sent again, in bytes.
	maxReplayed = 1 << 20
	// refreshTimeout is the timeout of a refresh, including a retry.
	refreshTimeout = 30 * time.Second
	// maxRetryAfter is the maximum wait before a retry.
	maxRetryAfter = 5 * time.Second
)

// invalidToken matches the challenge for a token that has expired or was revoked (RFC 6750, section
// 3.1).
var invalidToken = regexp.MustCompile(`(?i)\bbearer\b.*\berror="?invalid_token\b`)

// RoundTrip sends a request. It adds the access token if the request goes to the server or to one
// of Config.Origins, and has no Authorization header.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" || !c.mayHaveToken(r) {
		return c.base.RoundTrip(r)
	}
	tokens, refreshErr, err := c.current(r.Context())
	if err != nil {
		return nil, giveUp(r, err)
	}
	if r, err = replayable(r); err != nil {
		return nil, err
	}
	response, err := c.send(r, tokens)
	if err == nil && challenges(response) {
		response, tokens, err = c.sendRefreshed(r, response, tokens, refreshErr)
	}
	if err != nil || tokens.AccessToken == "" {
		return response, err
	}
	if required, ok := parseStepUp(response); ok {
		return c.sendSteppedUp(r, response, tokens, required)
	}
	return response, nil
}

// sendRefreshed sends a request again after a refresh, and returns the tokens that it used. It
// returns the response if the session has ended or the request cannot be sent again.
func (c *Client) sendRefreshed(
	r *http.Request, response *http.Response, tokens Tokens, refreshErr error,
) (*http.Response, Tokens, error) {
	fresh, err := Tokens{}, refreshErr
	if refreshErr == nil {
		fresh, err = c.refresh(r.Context(), tokens)
	}
	switch {
	case err != nil:
		return nil, Tokens{}, errors.Join(err, response.Body.Close())
	case fresh.AccessToken == "" || !isRepeatable(r):
		return response, fresh, nil
	}
	if err := response.Body.Close(); err != nil {
		return nil, Tokens{}, err
	}
	if r, err = repeat(r); err != nil {
		return nil, Tokens{}, err
	}
	response, err = c.send(r, fresh)
	return response, fresh, err
}

// mayHaveToken reports whether a request goes to an origin that gets the token. A request that
// another origin redirected there must not get it: the caller did not intend to send that request.
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

// challenges reports whether a response says that the access token has expired or was revoked.
func challenges(response *http.Response) bool {
	return response.StatusCode == http.StatusUnauthorized &&
		slices.ContainsFunc(response.Header.Values("WWW-Authenticate"), invalidToken.MatchString)
}

// replayable returns the request with a GetBody, unless its body is larger than maxReplayed.
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

// isRepeatable reports whether a request, which replayable returned, can be sent again.
func isRepeatable(r *http.Request) bool {
	return r.GetBody != nil || r.Body == nil || r.Body == http.NoBody
}

// repeat returns a request that can be sent after r was.
func repeat(r *http.Request) (*http.Request, error) {
	if r.GetBody == nil {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = body
	return r, nil
}

// giveUp closes the body of a request that will not be sent, as http.RoundTripper requires.
func giveUp(r *http.Request, err error) error {
	if r.Body == nil {
		return err
	}
	return errors.Join(err, r.Body.Close())
}

// current returns the tokens to send, refreshed if they are due. If the refresh fails, it returns
// the old tokens, which may still work, and refreshErr.
func (c *Client) current(ctx context.Context) (tokens Tokens, refreshErr, err error) {
	tokens, err = c.store.Load(ctx)
	c.mu.Lock()
	due := tokens.RefreshToken != "" && !c.now().Before(tokens.RefreshAt) && !c.now().Before(c.notBefore)
	c.mu.Unlock()
	if err != nil || !due {
		return tokens, nil, err
	}
	fresh, refreshErr := c.refresh(ctx, tokens)
	if refreshErr != nil {
		return tokens, refreshErr, ctx.Err()
	}
	return fresh, nil, nil
}

// refreshing is a refresh that several requests may wait for.
type refreshing struct {
	done   chan struct{}
	tokens Tokens
	err    error
}

// refresh returns the tokens that replace stale, or no tokens if the session has ended.
//
// The refresh continues after ctx is done, because others may wait for it too, and the new tokens
// must be stored: the old refresh token cannot be used again.
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
			if r.err != nil { // until notBefore, requests use the old tokens
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

// refreshStored refreshes the stored tokens, unless another Client has already done so.
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

// exchange exchanges a refresh token for new tokens. It retries once if the server is unavailable.
// Repeating the request is safe: within the grace period, the server returns the same new tokens
// again.
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
		temporary := problem == nil || problem.Status == http.StatusServiceUnavailable
		if err == nil || last || !temporary || wait > maxRetryAfter {
			return tokens, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Tokens{}, err
		}
	}
}
