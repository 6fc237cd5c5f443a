package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// Session is a session of the user.
type Session struct {
	ID string `json:"id"`
	// CreatedAt is the time of the login, LastUsedAt of the login or the last refresh.
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	// ExpiresAt is when the session ends if it is not used.
	ExpiresAt time.Time `json:"expiresAt"`
	// IP and UserAgent are those of the login.
	IP        string `json:"ip"`
	UserAgent string `json:"userAgent"`
	// Current reports whether it is the session of this Client.
	Current bool `json:"current"`
}

// Sessions returns the active sessions of the user, the newest first, at most 100.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	list, err := decode[struct {
		Sessions []Session `json:"sessions"`
	}](c.authorized.ListSessions(ctx))
	return list.Sessions, err
}

// RevokeSession ends a session of the user. If it is the session of this Client, the tokens are
// deleted. It returns a *Problem with the code not_found if the user has no such session.
func (c *Client) RevokeSession(ctx context.Context, id string) error {
	if _, err := decode[gen.Confirmation](c.authorized.RevokeSession(ctx, id)); err != nil {
		return err
	}
	// If it was this session, the server refuses its tokens now, and RoundTrip deletes them. If this
	// request fails for another reason, the next one does the same.
	_, _ = c.Authenticate(ctx) // best effort
	return nil
}

// LogoutEverywhere ends every session of the user, or every other one if keepCurrent is true. If it
// ends the session of this Client, it deletes the tokens.
func (c *Client) LogoutEverywhere(ctx context.Context, keepCurrent bool) error {
	input := gen.LogoutEverywhereInput{KeepCurrent: &keepCurrent}
	if keepCurrent {
		_, err := decode[gen.Confirmation](c.authorized.LogoutEverywhere(ctx, input))
		return err
	}
	return c.replaceSession(ctx, func(ctx context.Context, authorize gen.RequestEditorFn) (Tokens, error) {
		_, err := decode[gen.Confirmation](c.anonymous.LogoutEverywhere(ctx, input, authorize))
		return Tokens{}, err
	})
}

// replaceSession calls an operation with the access token, and stores the tokens that it returns.
// It calls OnStepUp if the operation requires a more recent login, and the operation again.
func (c *Client) replaceSession(
	ctx context.Context, operation func(context.Context, gen.RequestEditorFn) (Tokens, error),
) error {
	sent, err := c.replaceTokens(ctx, Tokens{}, operation)
	if !isCode(err, ProblemCodeInsufficientUserAuthentication) || !c.canStepUp(ctx) {
		return err
	}
	problem, _ := errors.AsType[*Problem](err)
	if err := c.stepUp(ctx, sent, problem.StepUp); err != nil {
		return err
	}
	if _, again := c.replaceTokens(ctx, sent, operation); !errors.Is(again, errAnotherUser) {
		return again
	}
	return err
}

// errAnotherUser means that an operation was not repeated because another user has logged in.
var errAnotherUser = errors.New("sesame: another user has logged in")

// replaceTokens calls an operation with the access token, and stores the tokens that it returns. If
// the access token is not accepted, it refreshes the tokens and calls the operation again. It
// returns the tokens that the operation was last called with. If user is not zero, it calls the
// operation only if the session is still of the same user, and returns errAnotherUser otherwise.
//
// It does all this inside Update, as a refresh does, so that no refresh uses a token that the
// operation is replacing.
func (c *Client) replaceTokens(
	ctx context.Context, user Tokens, operation func(context.Context, gen.RequestEditorFn) (Tokens, error),
) (sent Tokens, err error) {
	var failure error // of the operation, also if refreshed tokens must be stored
	err = c.store.Update(ctx, func(tokens Tokens) (Tokens, error) {
		if err := ctx.Err(); err != nil {
			return tokens, err
		}
		if user != (Tokens{}) && !isSameUser(user, tokens) {
			return tokens, errAnotherUser
		}
		sent = tokens
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		replaced, err := operation(ctx, authorize(tokens))
		if isCode(err, ProblemCodeInvalidAccessToken) && tokens.RefreshToken != "" {
			fresh, refreshErr := c.exchange(ctx, tokens.RefreshToken)
			switch {
			case isRefused(refreshErr): // the session has ended
				failure = err
				return Tokens{}, nil
			case refreshErr != nil:
				return tokens, refreshErr
			}
			tokens, sent = fresh, fresh
			replaced, err = operation(ctx, authorize(tokens))
		}
		if err == nil {
			return replaced, nil
		}
		failure = err
		if isDefinite(err) || tokens.RefreshToken == "" {
			return tokens, nil
		}
		// If the operation succeeded nevertheless, the refresh token is outdated: now a refresh returns
		// the new one, but not after the grace period.
		fresh, refreshErr := c.exchange(ctx, tokens.RefreshToken)
		if refreshErr == nil || isRefused(refreshErr) { // refused: the session has ended
			tokens = fresh
		}
		return tokens, nil
	})
	return sent, errors.Join(failure, err)
}

// isDefinite reports whether an error means that the operation did not succeed.
func isDefinite(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Code != "" && problem.Code != ProblemCodeInternalError
}

// authorize returns an editor that adds the access token to a request.
func authorize(tokens Tokens) gen.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		if tokens.AccessToken != "" {
			r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
		}
		return nil
	}
}
