package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StepUp is what the server or a service requires before it accepts a request of a logged-in user
// (RFC 9470). See [Config.OnStepUp].
type StepUp struct {
	// MaxAge is how recent the login must be, or 0 if the challenge does not say.
	MaxAge time.Duration
	// ACR is the required value of the claim acr, such as aal2 for two factors, or empty if the
	// challenge does not say.
	ACR string
}

var (
	insufficient = regexp.MustCompile(`(?i)\bbearer\b.*\berror="?insufficient_user_authentication\b`)
	maxAge       = regexp.MustCompile(`(?i)\bmax_age="?(\d+)`)
	acrValues    = regexp.MustCompile(`(?i)\bacr_values="?([^\s",]+)`) // the first one is preferred
)

// parseStepUp returns the challenge of a response for a more recent login or for two factors. It
// returns false if there is none.
func parseStepUp(response *http.Response) (StepUp, bool) {
	challenges := response.Header.Values("WWW-Authenticate")
	i := slices.IndexFunc(challenges, insufficient.MatchString)
	if response.StatusCode != http.StatusUnauthorized || i < 0 {
		return StepUp{}, false
	}
	var required StepUp
	if match := maxAge.FindStringSubmatch(challenges[i]); match != nil {
		seconds, _ := strconv.ParseUint(match[1], 10, 31) // the maximum if it is out of range
		required.MaxAge = time.Duration(seconds) * time.Second
	}
	if match := acrValues.FindStringSubmatch(challenges[i]); match != nil {
		required.ACR = match[1]
	}
	return required, true
}

// sendSteppedUp sends a request again after OnStepUp. It returns the response if there is no
// OnStepUp or the request cannot be sent again.
func (c *Client) sendSteppedUp(
	r *http.Request, response *http.Response, sent Tokens, required StepUp,
) (*http.Response, error) {
	if !c.canStepUp(r.Context()) || !isRepeatable(r) {
		return response, nil
	}
	// OnStepUp may wait for the user: do not keep the connection.
	if err := detach(response); err != nil {
		return nil, err
	}
	if err := c.stepUp(r.Context(), sent, required); err != nil {
		return nil, err
	}
	fresh, _, err := c.current(r.Context())
	if err != nil {
		return nil, err
	}
	if !isSameUser(sent, fresh) {
		return response, nil
	}
	if r, err = repeat(r); err != nil {
		return nil, err
	}
	return c.send(r, fresh)
}

// detach reads the body of a response into memory, up to maxReplayed, and closes it.
func detach(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReplayed))
	err = errors.Join(err, response.Body.Close())
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// steppingUp is a call of OnStepUp that several requests may wait for.
type steppingUp struct {
	done chan struct{}
	err  error
	// abandoned reports that the context of the request that caused the call is done.
	abandoned bool
}

// steppingUpKey is the key of the context that OnStepUp gets.
type steppingUpKey struct{ *Client }

// canStepUp reports whether OnStepUp may be called for a request. A request of OnStepUp itself must
// not wait for it.
func (c *Client) canStepUp(ctx context.Context) bool {
	return c.onStepUp != nil && ctx.Value(steppingUpKey{c}) == nil
}

// stepUp calls OnStepUp after a request with the tokens sent was refused. Concurrent requests with
// the same challenge share a call. If it is given up by the request that caused it, another request
// calls OnStepUp.
func (c *Client) stepUp(ctx context.Context, sent Tokens, required StepUp) error {
	for {
		c.mu.Lock()
		running := c.steppingUp[required]
		if running == nil {
			running = &steppingUp{done: make(chan struct{}), abandoned: true} // if OnStepUp panics
			c.steppingUp[required] = running
			c.mu.Unlock()
			return c.callOnStepUp(ctx, running, sent, required)
		}
		c.mu.Unlock()
		select {
		case <-running.done:
			if !running.abandoned {
				return running.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) callOnStepUp(ctx context.Context, running *steppingUp, sent Tokens, required StepUp) error {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.steppingUp, required)
		close(running.done)
	}()
	stored, err := c.store.Load(ctx)
	if err == nil && !satisfies(stored, sent, required) {
		if err = c.onStepUp(context.WithValue(ctx, steppingUpKey{c}, true), required); err != nil {
			err = fmt.Errorf("sesame: step up: %w", err)
		}
	}
	running.err, running.abandoned = err, err != nil && ctx.Err() != nil
	return err
}

// accessClaims are claims of an access token.
type accessClaims struct {
	Subject  string `json:"sub"`
	AuthTime int64  `json:"auth_time"`
	ACR      string `json:"acr"`
}

// readClaims returns the claims of an access token, or none if it is not readable. The signature is
// not verified: the token is from the server.
func readClaims(tokens Tokens) (claims accessClaims) {
	parts := strings.Split(tokens.AccessToken, ".")
	if len(parts) != 3 {
		return accessClaims{}
	}
	content, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(content, &claims) != nil {
		return accessClaims{}
	}
	return claims
}

// satisfies reports whether the stored tokens fulfill a requirement that the sent ones did not,
// because OnStepUp was called for another request in the meantime.
func satisfies(stored, sent Tokens, required StepUp) bool {
	if stored.AccessToken == sent.AccessToken {
		return false
	}
	now, before := readClaims(stored), readClaims(sent)
	if required.ACR != "" && now.ACR != required.ACR {
		return false
	}
	return now.AuthTime > before.AuthTime || required.ACR != "" && required.MaxAge == 0
}

// isSameUser reports whether both tokens belong to the same user. A request must not be sent again
// as another user, who may have logged in instead.
func isSameUser(a, b Tokens) bool {
	subject := readClaims(a).Subject
	return subject != "" && subject == readClaims(b).Subject
}
