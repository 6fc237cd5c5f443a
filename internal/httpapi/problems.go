package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/web"
)

// retryAfter is the advice that comes with a 503, in seconds.
const retryAfter = 2

var errNoToken = errors.New("no access token")

// problem is one row of the table from errors to answers.
type problem struct {
	err       error
	status    int
	code      api.ProblemCode
	title     string
	detail    string
	fix       string // for the page about it
	challenge string // WWW-Authenticate
}

const (
	realm        = `Bearer realm="sesame"`
	invalidToken = realm + `, error="invalid_token"`
)

// known is every problem there is. The last row is what no other row is for.
var known = []problem{
	{err: auth.ErrAddressTaken, status: 400, code: api.ProblemCodeEmailTaken, title: "Address already registered",
		detail: "An account with this address exists already. Log in, or reset its password.",
		fix:    "Log in with the address, or request a password reset for it."},
	{err: auth.ErrAddress, status: 400, code: api.ProblemCodeValidationFailed, title: "Request not valid",
		detail: "The request does not match the contract; each fault is listed.",
		fix:    "Read the errors of the problem: each names a place in the request and what must hold there."},
	{err: auth.ErrInvalidCredentials, status: 401, code: api.ProblemCodeInvalidCredentials, title: "Address or password not accepted", challenge: realm,
		detail: "The address and the password do not belong to an account that can log in.",
		fix:    "Check the spelling of both, or request a password reset. Which of the two is wrong is not told, on purpose."},
	{err: errNoToken, status: 401, code: api.ProblemCodeInvalidAccessToken, title: "Access token not accepted", challenge: realm,
		detail: "The access token is missing, malformed, expired, or its session has ended.",
		fix:    "Send an access token in one Authorization header: Bearer, a space, the token. If it has expired, refresh it; if that is refused too, log in."},
	{err: auth.ErrInvalidAccess, status: 401, code: api.ProblemCodeInvalidAccessToken, title: "Access token not accepted", challenge: invalidToken,
		detail: "The access token is missing, malformed, expired, or its session has ended.",
		fix:    "Refresh the access token; if that is refused too, log in."},
	{err: auth.ErrInvalidRefresh, status: 401, code: api.ProblemCodeInvalidRefreshToken, title: "Refresh token not accepted", challenge: realm,
		detail: "The refresh token was not issued by this server, or it no longer opens its session.",
		fix:    "Log in. If this happens to a client that did nothing odd, somebody else may have used its refresh token, and the session was ended to be safe."},
	{err: auth.ErrForeignRefresh, status: 400, code: api.ProblemCodeInvalidRefreshToken, title: "Refresh token not accepted",
		detail: "The refresh token was not issued by this server, or it no longer opens its session.",
		fix:    "Log out with a refresh token that this server issued. Any one of the session will do."},
	{err: auth.ErrInvalidReset, status: 401, code: api.ProblemCodeInvalidResetToken, title: "Reset link not accepted", challenge: realm,
		detail: "The reset token is unknown, expired, already used, or replaced by a newer one.",
		fix:    "Use the newest mail, or request another one. A link works once, and for a short time."},
	{err: errMalformed, status: 400, code: api.ProblemCodeMalformedBody, title: "Body not readable",
		detail: "The body is not one JSON value in UTF-8 with distinct keys.",
		fix:    "Send one JSON object: UTF-8, every name once, no NUL, nothing after the closing brace."},
	{err: errBodyReading, status: 400, code: api.ProblemCodeMalformedBody, title: "Body not readable",
		detail: "The body did not arrive whole.",
		fix:    "Send the request again."},
	{err: errTooLarge, status: 413, code: api.ProblemCodeContentTooLarge, title: "Body too large",
		detail: "The body is larger than 16 KiB.",
		fix:    "Send less. No valid request comes near this size."},
	{err: errNotJSON, status: 415, code: api.ProblemCodeUnsupportedMediaType, title: "Body is not JSON",
		detail: "The body must be sent as Content-Type: application/json.",
		fix:    "Send JSON in UTF-8, say so in the Content-Type header, and do not compress it."},
	{err: echo.ErrNotFound, status: 404, code: api.ProblemCodeNotFound, title: "Not found",
		detail: "There is nothing at this path.",
		fix:    "Compare the path with the contract, /openapi.yaml."},
	{err: echo.ErrMethodNotAllowed, status: 405, code: api.ProblemCodeMethodNotAllowed, title: "Method not allowed",
		detail: "This path does not take this method; the Allow header lists those it takes.",
		fix:    "Use a method of the Allow header."},
	{err: database.ErrUnavailable, status: 503, code: api.ProblemCodeUnavailable, title: "Temporarily unavailable",
		detail: "The server cannot reach its database, or is overloaded. Try again shortly.",
		fix:    "Try again after the seconds of the Retry-After header. Nothing was acknowledged, so trying again is safe."},
	{err: password.ErrBusy, status: 503, code: api.ProblemCodeUnavailable, title: "Temporarily unavailable",
		detail: "The server cannot reach its database, or is overloaded. Try again shortly.",
		fix:    "Try again after the seconds of the Retry-After header. Nothing was acknowledged, so trying again is safe."},
	{err: nil, status: 500, code: api.ProblemCodeInternalError, title: "Internal error",
		detail: "The server failed. Its log has the cause under this problem's instance.",
		fix:    "Tell the operator of the server the instance of the problem: the log has the cause under it."},
}

var weakPassword = problem{status: 400, code: api.ProblemCodeWeakPassword, title: "Password not acceptable",
	detail: "The password is not one that may be chosen.",
	fix:    "Choose another password. The problem's detail says what is wrong with this one."}

var tooManyRequests = problem{status: 429, code: api.ProblemCodeTooManyRequests, title: "Too many attempts",
	detail: "There were too many attempts. Try again after the seconds of the Retry-After header.",
	fix:    "Wait for the seconds of the Retry-After header. Attempts in between are refused without being looked at."}

// problems writes problem documents whose type is a page under the public URL.
type problems struct{ publicURL string }

func (p problems) of(err error, id string) (problem, api.Problem) {
	var row problem
	var faults []api.Fault
	var invalid *invalidRequestError
	var weak *auth.WeakPasswordError
	var throttled *auth.ThrottledError
	switch {
	case errors.As(err, &invalid):
		row, faults = find(auth.ErrAddress), invalid.faults
	case errors.As(err, &weak):
		row = weakPassword
		row.detail = sentence(weak.Reason.Error())
	case errors.As(err, &throttled):
		row = tooManyRequests
	default:
		row = find(err)
	}
	document := api.Problem{
		Type: p.publicURL + "/problems/" + string(row.code), Title: row.title, Status: row.status,
		Detail: row.detail, Code: row.code, Instance: "urn:uuid:" + id,
	}
	if len(faults) > 0 {
		document.Errors = &faults
	}
	return row, document
}

func find(err error) problem {
	for _, row := range known {
		if row.err != nil && errors.Is(err, row.err) {
			return row
		}
	}
	return known[len(known)-1]
}

func sentence(words string) string {
	return string(words[0]-'a'+'A') + words[1:] + "."
}

// answerError is where every error of every route and middleware becomes an answer.
func (e *Edge) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	state := stateOf(c.Request().Context())
	row, document := e.problems.of(err, state.client.RequestID)
	switch {
	case errors.Is(err, password.ErrBusy): // what a flood is answered must not flood the log
		e.metrics.refused.Inc()
	case row.status >= http.StatusInternalServerError:
		e.log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
			slog.String("id", state.client.RequestID), slog.String("route", c.Path()), slog.Any("err", err))
	}
	header := c.Response().Header()
	if row.challenge != "" {
		header.Set("WWW-Authenticate", row.challenge)
	}
	if row.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	var throttled *auth.ThrottledError
	if errors.As(err, &throttled) {
		header.Set("Retry-After", strconv.FormatInt(int64((throttled.RetryAfter+time.Second-1)/time.Second), 10)) // not a moment early
	}
	header.Set("Content-Type", "application/problem+json")
	c.Response().WriteHeader(row.status)
	if err := c.Echo().JSONSerializer.Serialize(c, document, ""); err != nil {
		e.log.Error("answer not written", "id", state.client.RequestID, "err", err)
	}
}

// page is what the type of a problem points to.
func (p problems) page(c echo.Context) error {
	code := api.ProblemCode(c.Param("code"))
	for _, row := range append([]problem{weakPassword, tooManyRequests}, known...) {
		if row.code == code {
			return web.Problem(c.Response(), web.ProblemPage{Code: string(code), Title: row.title, Status: row.status, Detail: row.detail, Fix: row.fix})
		}
	}
	return echo.ErrNotFound
}
