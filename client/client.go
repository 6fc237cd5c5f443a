// Package client is one user's session with a Sesame server. A Client registers, logs in and out, and resets
// passwords; it keeps the tokens, and it is an http.RoundTripper that sends the access token along:
//
//	session, err := client.New(client.Config{Server: "https://auth.example.com", Origins: []string{"https://api.example.com"}})
//	err = session.Login(ctx, "ada@example.com", "correct horse battery staple")
//	api := &http.Client{Transport: session}
//	response, err := api.Get("https://api.example.com/orders")
//
// The token goes to the server and the listed origins and nowhere else, also not by way of a redirect. Tokens are
// refreshed when nine tenths of the access token's life are over, or when a request was answered 401 with
// error="invalid_token" (RFC 6750, section 3.1), once for all requests that wait for it. The request is then sent once
// more, unless its body cannot be: one without GetBody is read beforehand up to 1 MiB, and a larger one goes out once.
//
// A refresh that is refused ends the session: the tokens are forgotten, and the 401 is the caller's. One that fails
// otherwise, because the network does or the server answers 503, is tried once more, after up to five seconds of
// Retry-After; after that its error is the caller's, and the session is as it was.
//
// What the server refuses is a *Problem.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// Types of the contract.
type (
	RegisterInput   = gen.RegisterInput
	User            = gen.User
	ValidationError = gen.ValidationError
	ProblemCode     = gen.ProblemCode
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// Config says with which server a session is.
type Config struct {
	Server    string            // the URL of the server, such as https://auth.example.com
	Origins   []string          // of services that get the access token too, such as https://api.example.com
	Store     Store             // keeps the tokens; nil: a Memory
	Transport http.RoundTripper // sends the requests; nil: http.DefaultTransport
}

// Client is one user's session. It may be used concurrently.
type Client struct {
	anonymous, authorized *gen.Client
	origins               map[string]bool
	store                 Store
	base                  http.RoundTripper
	now                   func() time.Time

	mu         sync.Mutex
	refreshing *refreshing // nil: no refresh is under way
	notBefore  time.Time   // of the next refresh ahead of expiry
}

// New is a client for the session that the store has, or for the one that Login will open. The error tells of a URL that
// is none.
func New(config Config) (*Client, error) {
	c := &Client{origins: make(map[string]bool), store: config.Store, base: config.Transport, now: time.Now}
	if c.store == nil {
		c.store = &Memory{}
	}
	if c.base == nil {
		c.base = http.DefaultTransport
	}
	for _, text := range append([]string{config.Server}, config.Origins...) {
		parsed, err := url.Parse(text)
		if err == nil && (parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "") {
			err = fmt.Errorf("%q is no http or https URL", text)
		}
		if err != nil {
			return nil, fmt.Errorf("sesame: %w", err)
		}
		c.origins[origin(parsed)] = true
	}
	var err, err2 error
	c.anonymous, err = gen.NewClient(config.Server, gen.WithHTTPClient(toServerOnly(c.base)))
	c.authorized, err2 = gen.NewClient(config.Server, gen.WithHTTPClient(toServerOnly(c)))
	return c, errors.Join(err, err2)
}

// toServerOnly follows no redirects: the server answers with none, and passwords and refresh tokens would go along.
func toServerOnly(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Register makes an account. It logs nobody in.
func (c *Client) Register(ctx context.Context, input RegisterInput) (User, error) {
	registered, err := decode[gen.Registered](c.anonymous.Register(ctx, input))
	return registered.User, err
}

// Login opens a session in place of the one there is, which it does not end.
func (c *Client) Login(ctx context.Context, email, password string) error {
	return c.store.Update(ctx, func(Tokens) (Tokens, error) {
		return c.ask(func() (*http.Response, error) {
			return c.anonymous.Login(ctx, gen.LoginInput{Email: email, Password: password})
		})
	})
}

// Logout ends the session and forgets the tokens. After an error the session is as it was, and Logout can be called
// again. Where there is no session, it does nothing.
func (c *Client) Logout(ctx context.Context) error {
	return c.store.Update(ctx, func(tokens Tokens) (Tokens, error) {
		if tokens.RefreshToken == "" {
			return Tokens{}, nil
		}
		_, err := decode[gen.Confirmation](c.anonymous.Logout(ctx, gen.RefreshTokenInput{RefreshToken: tokens.RefreshToken}))
		if isRefused(err) { // no session of this server
			return Tokens{}, nil
		}
		return Tokens{}, err
	})
}

// Authenticate tells whose session it is, as the server knows it now: a session that ended elsewhere is a *Problem with
// the code invalid_access_token.
func (c *Client) Authenticate(ctx context.Context) (User, error) {
	welcome, err := decode[gen.Welcome](c.authorized.Authenticate(ctx))
	if err == nil && welcome.User == nil {
		err = errors.New("sesame: the server names no user")
	}
	if err != nil {
		return User{}, err
	}
	return *welcome.User, nil
}

// ForgotPassword has a link mailed that resets the password, if the address has an account.
func (c *Client) ForgotPassword(ctx context.Context, email string) error {
	_, err := decode[gen.Confirmation](c.anonymous.ForgotPassword(ctx, gen.ForgotPasswordInput{Email: email}))
	return err
}

// ResetPassword sets a new password with the token of the mailed link, and ends every session of the account, this one
// too if it is of the same user.
func (c *Client) ResetPassword(ctx context.Context, token, password string) error {
	_, err := decode[gen.Confirmation](c.anonymous.ResetPassword(ctx, &gen.ResetPasswordParams{Token: token}, gen.ResetPasswordInput{Password: password}))
	return err
}

// ask calls an operation that answers tokens.
func (c *Client) ask(operation func() (*http.Response, error)) (Tokens, error) {
	asked := c.now()
	answer, err := decode[gen.Tokens](operation())
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{answer.AccessToken, answer.RefreshToken, asked.Add(time.Duration(answer.ExpiresIn) * time.Second * 9 / 10)}, nil
}

func decode[T any](response *http.Response, err error) (T, error) {
	var value T
	if err != nil {
		return value, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return value, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return value, newProblem(response, body)
	}
	return value, json.Unmarshal(body, &value)
}

// origin is the scheme, host and port of a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
