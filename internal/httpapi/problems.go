package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
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

// answer is one row of the table from errors to answers.
type answer struct {
	matches   func(error) bool
	status    int
	code      api.ProblemCode
	challenge string // WWW-Authenticate; empty: none
}

const (
	realm        = `Bearer realm="sesame"`
	invalidToken = realm + `, error="invalid_token"`
)

// answers is the table: the first row that matches counts, and the last one matches everything.
var answers = []answer{
	{as[*invalidRequestError], http.StatusBadRequest, api.ProblemCodeValidationFailed, ""},
	{is(auth.ErrInvalidEmail), http.StatusBadRequest, api.ProblemCodeValidationFailed, ""},
	{is(errMalformed), http.StatusBadRequest, api.ProblemCodeMalformedBody, ""},
	{is(errBodyReading), http.StatusBadRequest, api.ProblemCodeMalformedBody, ""},
	{as[*auth.WeakPasswordError], http.StatusBadRequest, api.ProblemCodeWeakPassword, ""},
	{is(auth.ErrEmailTaken), http.StatusBadRequest, api.ProblemCodeEmailTaken, ""},
	{is(auth.ErrInvalidCredentials), http.StatusUnauthorized, api.ProblemCodeInvalidCredentials, realm},
	{is(errNoToken), http.StatusUnauthorized, api.ProblemCodeInvalidAccessToken, realm},
	{is(auth.ErrInvalidAccessToken), http.StatusUnauthorized, api.ProblemCodeInvalidAccessToken, invalidToken},
	{is(auth.ErrInvalidRefreshToken), http.StatusUnauthorized, api.ProblemCodeInvalidRefreshToken, realm},
	{is(auth.ErrForeignRefreshToken), http.StatusBadRequest, api.ProblemCodeInvalidRefreshToken, ""},
	{is(auth.ErrInvalidResetToken), http.StatusUnauthorized, api.ProblemCodeInvalidResetToken, realm},
	{is(echo.ErrNotFound), http.StatusNotFound, api.ProblemCodeNotFound, ""},
	{is(web.ErrNotFound), http.StatusNotFound, api.ProblemCodeNotFound, ""},
	{is(echo.ErrMethodNotAllowed), http.StatusMethodNotAllowed, api.ProblemCodeMethodNotAllowed, ""},
	{is(errTooLarge), http.StatusRequestEntityTooLarge, api.ProblemCodeContentTooLarge, ""},
	{is(errNotJSON), http.StatusUnsupportedMediaType, api.ProblemCodeUnsupportedMediaType, ""},
	{as[*auth.ThrottledError], http.StatusTooManyRequests, api.ProblemCodeTooManyRequests, ""},
	{is(database.ErrUnavailable), http.StatusServiceUnavailable, api.ProblemCodeUnavailable, ""},
	{is(password.ErrBusy), http.StatusServiceUnavailable, api.ProblemCodeUnavailable, ""},
	{func(error) bool { return true }, http.StatusInternalServerError, api.ProblemCodeInternalError, ""},
}

// is and as match as errors.Is and errors.As do.
func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// problems writes problem documents whose type is a page under the public URL.
type problems struct{ publicURL string }

func (p problems) of(err error, id string) (answer, api.Problem) {
	row := answers[slices.IndexFunc(answers, func(a answer) bool { return a.matches(err) })]
	kind := kindOf(row.code)
	document := api.Problem{
		Type: p.publicURL + "/problems/" + string(row.code), Title: kind.title, Status: row.status,
		Detail: kind.detail, Code: row.code, Instance: "urn:uuid:" + id,
	}
	var invalid *invalidRequestError
	var weak *auth.WeakPasswordError
	switch {
	case errors.As(err, &invalid):
		document.Errors = &invalid.faults
	case errors.As(err, &weak):
		document.Detail = sentence(weak.Reason.Error())
	case errors.Is(err, errBodyReading):
		document.Detail = "The body did not arrive whole."
	}
	return row, document
}

func sentence(words string) string {
	return string(words[0]-'a'+'A') + words[1:] + "."
}

// writeError writes the problem document of an error.
func (m *middleware) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	state := stateOf(c.Request().Context())
	row, document := m.problems.of(err, state.client.RequestID)
	switch {
	case errors.Is(err, password.ErrBusy): // what a flood is answered must not flood the log
		m.metrics.refused.Inc()
	case row.status >= http.StatusInternalServerError:
		m.log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
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
		m.log.Error("answer not written", "id", state.client.RequestID, "err", err)
	}
}
