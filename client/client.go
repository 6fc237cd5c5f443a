// Package client keeps one user's session with a Sesame server.
//
// # Sessions
//
// A [Client] registers, logs in and out, and resets passwords. It stores the tokens in a [Store], in memory by default,
// and refreshes them:
//
//	session, err := client.New(client.Config{Server: "https://auth.example.com", Origins: []string{"https://api.example.com"}})
//	err = session.Login(ctx, "ada@example.com", "correct horse battery staple")
//
// # Calling services
//
// A Client is an http.RoundTripper that adds the access token to requests:
//
//	api := &http.Client{Transport: session}
//	response, err := api.Get("https://api.example.com/orders")
//
// The token is sent to the server and to the listed origins only, also after redirects. The Client refreshes the tokens
// when nine tenths of the access token's lifetime are over, or when a response is a 401 with error="invalid_token" (RFC
// 6750, section 3.1). It does so once for all requests that wait for it. Then it sends the request again, if it can: a
// request body without GetBody is buffered up to 1 MiB, and a larger one is sent only once.
//
// If the server rejects the refresh token, the session has ended: the Client deletes the tokens, and the caller gets the
// 401. If a refresh fails because of the network or a 503, the Client retries once, after up to five seconds of
// Retry-After. If that fails too, the caller gets the error, and the session stays as it was.
//
// # Errors
//
// An error response of the server is a *[Problem]. Switch on its Code, and always have a default: new codes may be added
// at any time.
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

// RegisterInput is the input of Register. Bio may be left out.
type RegisterInput = gen.RegisterInput

// User is an account, as its owner sees it.
type User = gen.User

// maxResponse is how much of a response is read, in bytes.
const maxResponse = 1 << 20

// Config configures a Client.
type Config struct {
	Server    string            // the URL of the server, such as https://auth.example.com
	Origins   []string          // of services that also get the access token, such as https://api.example.com
	Store     Store             // stores the tokens; default: a Memory
	Transport http.RoundTripper // sends the requests; default: http.DefaultTransport
}

// Client is one user's session. It is safe for concurrent use.
type Client struct {
	anonymous, authorized *gen.Client
	origins               map[string]bool
	store                 Store
	base                  http.RoundTripper
	now                   func() time.Time

	mu         sync.Mutex
	refreshing *refreshing // nil: no refresh is running
	notBefore  time.Time   // of the next refresh before the token expires
}

// New returns a Client that resumes the session in Config.Store, or starts logged out. It returns an error if a URL is not
// http or https.
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
			err = fmt.Errorf("%q is not an http or https URL", text)
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

// toServerOnly follows no redirects: the server sends none, and they would pass on passwords and refresh tokens.
func toServerOnly(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Register creates an account. It does not log in.
func (c *Client) Register(ctx context.Context, input RegisterInput) (User, error) {
	registered, err := decode[gen.Registered](c.anonymous.Register(ctx, input))
	return registered.User, err
}

// Login starts a session. It replaces the stored one, but does not end it on the server.
func (c *Client) Login(ctx context.Context, email, password string) error {
	return c.store.Update(ctx, func(Tokens) (Tokens, error) {
		return c.requestTokens(func() (*http.Response, error) {
			return c.anonymous.Login(ctx, gen.LoginInput{Email: email, Password: password})
		})
	})
}

// Logout ends the session and deletes the tokens. After an error the session is as it was, and Logout can be called again.
// Without a session it does nothing.
func (c *Client) Logout(ctx context.Context) error {
	return c.store.Update(ctx, func(tokens Tokens) (Tokens, error) {
		if tokens.RefreshToken == "" {
			return Tokens{}, nil
		}
		_, err := decode[gen.Confirmation](c.anonymous.Logout(ctx, gen.RefreshTokenInput{RefreshToken: tokens.RefreshToken}))
		if isRefused(err) { // not a session of this server
			return Tokens{}, nil
		}
		return Tokens{}, err
	})
}

// Authenticate returns the user of the session, as the server knows it now. If the session was ended elsewhere, it returns
// a *Problem with the code invalid_access_token.
func (c *Client) Authenticate(ctx context.Context) (User, error) {
	welcome, err := decode[gen.Welcome](c.authorized.Authenticate(ctx))
	if err == nil && welcome.User == nil {
		err = errors.New("sesame: the response contains no user")
	}
	if err != nil {
		return User{}, err
	}
	return *welcome.User, nil
}

// ForgotPassword requests an email with a link that resets the password. It succeeds whether or not the email has an
// account.
func (c *Client) ForgotPassword(ctx context.Context, email string) error {
	_, err := decode[gen.Confirmation](c.anonymous.ForgotPassword(ctx, gen.ForgotPasswordInput{Email: email}))
	return err
}

// ResetPassword sets a new password with the token from the emailed link. It ends every session of the account, also this
// one if it is of the same user.
func (c *Client) ResetPassword(ctx context.Context, token, password string) error {
	_, err := decode[gen.Confirmation](c.anonymous.ResetPassword(ctx, &gen.ResetPasswordParams{Token: token}, gen.ResetPasswordInput{Password: password}))
	return err
}

// requestTokens calls an operation that returns tokens.
func (c *Client) requestTokens(operation func() (*http.Response, error)) (Tokens, error) {
	started := c.now()
	tokens, err := decode[gen.Tokens](operation())
	if err != nil {
		return Tokens{}, err
	}
	refreshAt := started.Add(time.Duration(tokens.ExpiresIn) * time.Second * 9 / 10)
	return Tokens{AccessToken: tokens.AccessToken, RefreshToken: tokens.RefreshToken, RefreshAt: refreshAt}, nil
}

func decode[T any](response *http.Response, err error) (T, error) {
	var value T
	if err != nil {
		return value, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return value, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return value, newProblem(response, body)
	}
	return value, json.Unmarshal(body, &value)
}

// origin returns the scheme, host and port of a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
