// Package client keeps a user logged in to a Sesame server. It stores the tokens of the session,
// refreshes them, and adds the access token to requests.
//
// # Sessions
//
// A [Client] registers users, logs in and out, and changes and deletes accounts:
//
//	session, err := client.New(client.Config{
//		Server:  "https://auth.example.com",
//		Origins: []string{"https://api.example.com"},
//	})
//	// ...
//	err = session.Login(ctx, "ada@example.com", "correct horse battery staple")
//
// It keeps the tokens in a [Store]. The default one is in memory.
//
// # Accounts
//
// Links in emails contain a token, which [Client.VerifyEmail], [Client.ConfirmEmailChange],
// [Client.UndoEmailChange] and [Client.ResetPassword] use. They need no session.
//
// If the account has a second factor, [Client.Login] returns a problem with a token with which
// [Client.CompleteLogin] continues. [Client.FinishPasskeyLogin] logs in without a password.
//
// [Client.ChangePassword] keeps the session. [Client.DeleteAccount], [Client.LogoutEverywhere] and
// [Client.RevokeSession] delete the tokens if they end the session.
//
// # Calling services
//
// A Client is an [http.RoundTripper] that adds the access token to requests:
//
//	api := &http.Client{Transport: session}
//	response, err := api.Get("https://api.example.com/orders")
//
// The token is sent only to the server and to the origins in [Config]. An origin is the scheme, the
// host and the port: a token for https://api.example.com is not sent to http://api.example.com. A
// request that another origin redirects to one of these does not get the token either.
//
// # Refreshing
//
// The Client refreshes the tokens when nine tenths of the access token's lifetime have passed, and
// when a response is a 401 with error="invalid_token" (RFC 6750, section 3.1). Concurrent requests
// share one refresh.
//
// After a 401, the request is sent again with the new token. To make this possible, a request body
// without GetBody is buffered, up to 1 MiB. A request with a larger one is not repeated: the caller
// gets the 401.
//
// If the server rejects the refresh token, the session has ended. The Client deletes the tokens and
// the caller gets the 401.
//
// If a refresh fails because of a network error or a 503, it is retried once, unless Retry-After is
// longer than five seconds. If it fails for good, the tokens are kept. Requests use the old access
// token while the server accepts it, and return the error of the refresh afterwards.
//
// # Sensitive operations
//
// Some operations need a login within the last ten minutes and, if the account has a second factor,
// two factors. Services can require the same. The response is a 401 with
// error="insufficient_user_authentication" (RFC 9470). A refresh does not help. The Client calls
// [Config.OnStepUp], which asks the user for the password, and sends the request again:
//
//	OnStepUp: func(ctx context.Context, required client.StepUp) error {
//		password, code := ask()
//		return session.Reauthenticate(ctx, password, code)
//	},
//
// The request is not sent again if another user has logged in, or if its body cannot be repeated.
//
// # Errors
//
// An error response of the server is returned as a *[Problem]. Switch on its Code, and always have
// a default case: new codes may be added at any time.
//
// If the password in a request of a logged-in user is wrong, the code is incorrect_password with
// the status 403. The session continues, and nothing is refreshed.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// RegisterInput is the input of [Client.Register]. Bio is optional.
type RegisterInput = gen.RegisterInput

// User is a registered user: name, email and bio.
type User = gen.User

// maxResponse is the maximum size of a response, in bytes. The rest is ignored.
const maxResponse = 16 << 20 // an export contains all sessions

// Config configures a Client.
type Config struct {
	// Server is the URL of the server, such as https://auth.example.com.
	Server string
	// Origins are the services that also get the access token, such as https://api.example.com.
	Origins []string
	// Store stores the tokens. The default is a new MemoryStore.
	Store Store
	// Transport sends the requests. The default is http.DefaultTransport.
	Transport http.RoundTripper
	// OnStepUp is called if the server or a service requires a more recent login, or two factors. It
	// usually asks the user for the password and, if the account has one, a code, and calls
	// [Client.Reauthenticate]. If it returns nil, the request is sent again once. Otherwise the
	// request fails with its error.
	//
	// Concurrent requests share one call. It gets the context of the request and must pass it on to
	// the methods of the Client, for which it is not called again.
	//
	// If OnStepUp is nil, methods return a *Problem with the code insufficient_user_authentication,
	// and requests to services return the 401.
	OnStepUp func(ctx context.Context, required StepUp) error
}

// Client is the session of one user, who may be logged in or not. It is safe for concurrent use.
type Client struct {
	anonymous, authorized *gen.Client
	origins               map[string]bool
	store                 Store
	base                  http.RoundTripper
	now                   func() time.Time
	onStepUp              func(context.Context, StepUp) error

	mu         sync.Mutex
	refreshing *refreshing            // nil: no refresh is running
	notBefore  time.Time              // after a failed refresh: no early refresh before this time
	steppingUp map[StepUp]*steppingUp // the running calls of onStepUp
}

// New returns a Client that resumes the session in Config.Store, or starts logged out. It returns
// an error if a URL is not https. For development, http is allowed with localhost or a loopback
// address.
func New(config Config) (*Client, error) {
	c := &Client{
		origins: make(map[string]bool), store: config.Store, base: config.Transport, now: time.Now,
		onStepUp: config.OnStepUp, steppingUp: make(map[StepUp]*steppingUp),
	}
	if c.store == nil {
		c.store = &MemoryStore{}
	}
	if c.base == nil {
		c.base = http.DefaultTransport
	}
	for _, rawURL := range append([]string{config.Server}, config.Origins...) {
		parsed, err := parseURL(rawURL)
		if err != nil {
			return nil, fmt.Errorf("sesame: %q: %w", rawURL, err)
		}
		c.origins[origin(parsed)] = true
	}
	var err, err2 error
	c.anonymous, err = gen.NewClient(config.Server, gen.WithHTTPClient(withoutRedirects(c.base)))
	c.authorized, err2 = gen.NewClient(config.Server, gen.WithHTTPClient(withoutRedirects(c)))
	return c, errors.Join(err, err2)
}

// withoutRedirects returns an HTTP client that does not follow redirects. Sesame sends none, and
// following one could send a password or a refresh token to another server.
func withoutRedirects(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Register creates an account and returns its user. It does not log in. It returns a *Problem with
// the code email_taken, weak_password, validation_failed or registration_closed.
func (c *Client) Register(ctx context.Context, input RegisterInput) (User, error) {
	registered, err := decode[gen.Registered](c.anonymous.Register(ctx, input))
	return registered.User, err
}

// Login starts a session and stores its tokens. If there is a session already, Login replaces it
// but does not revoke it; call Logout first to do that. It returns a *Problem with the code
// invalid_credentials, too_many_requests or, if the server requires verified emails,
// email_not_verified. If the account has a second factor, the code is second_factor_required, and
// the login continues with CompleteLogin and the LoginToken of the problem.
func (c *Client) Login(ctx context.Context, email, password string) error {
	return c.startSession(ctx, func() (*http.Response, error) {
		return c.anonymous.Login(ctx, gen.LoginInput{Email: email, Password: password})
	})
}

// startSession stores the tokens that a login returns.
func (c *Client) startSession(ctx context.Context, login func() (*http.Response, error)) error {
	return c.store.Update(ctx, func(Tokens) (Tokens, error) { return c.requestTokens(login) })
}

// Logout revokes the session and deletes the tokens. Without a session it does nothing. If it
// returns an error, the tokens are kept, so Logout can be called again.
func (c *Client) Logout(ctx context.Context) error {
	return c.store.Update(ctx, func(tokens Tokens) (Tokens, error) {
		if tokens.RefreshToken == "" {
			return Tokens{}, nil
		}
		input := gen.RefreshTokenInput{RefreshToken: tokens.RefreshToken}
		_, err := decode[gen.Confirmation](c.anonymous.Logout(ctx, input))
		if isRefused(err) { // not a session of this server
			return Tokens{}, nil
		}
		return Tokens{}, err
	})
}

// Authenticate asks the server for the user of the session. If there is no session, or it has
// ended, Authenticate returns a *Problem with the code invalid_access_token.
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

// ForgotPassword requests an email with a link to reset the password. It also succeeds if no
// account has this email, so that it does not reveal who has one.
func (c *Client) ForgotPassword(ctx context.Context, email string) error {
	_, err := decode[gen.Confirmation](c.anonymous.ForgotPassword(ctx, gen.ForgotPasswordInput{Email: email}))
	return err
}

// ResetPassword sets a new password with the token from the emailed link. It revokes all sessions
// of the account.
func (c *Client) ResetPassword(ctx context.Context, token, password string) error {
	params, input := &gen.ResetPasswordParams{Token: token}, gen.ResetPasswordInput{Password: password}
	_, err := decode[gen.Confirmation](c.anonymous.ResetPassword(ctx, params, input))
	return err
}

// requestTokens calls an operation that returns tokens, and schedules their refresh.
func (c *Client) requestTokens(operation func() (*http.Response, error)) (Tokens, error) {
	started := c.now()
	tokens, err := decode[gen.Tokens](operation())
	if err != nil {
		return Tokens{}, err
	}
	refreshAt := started.Add(time.Duration(tokens.ExpiresIn) * time.Second * 9 / 10)
	return Tokens{AccessToken: tokens.AccessToken, RefreshToken: tokens.RefreshToken, RefreshAt: refreshAt}, nil
}

// decode decodes a response. It returns a *Problem if the response is not a success.
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

// parseURL parses the URL of the server or of a service. It refuses a URL to which tokens and
// passwords would be sent without TLS, by the rules of package verify.
func parseURL(rawURL string) (*url.URL, error) {
	parsed, err := url.Parse(rawURL)
	switch {
	case err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return nil, errors.New("must be a URL, such as https://auth.example.com")
	case parsed.Scheme == "https", parsed.Scheme == "http" && isLoopback(parsed.Hostname()):
		return parsed, nil
	}
	return nil, errors.New("must be https, except for a loopback address")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// origin returns the scheme, host and port of a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
