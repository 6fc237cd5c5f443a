package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/web"
)

// retryAfter is the Retry-After of a 503 response, in seconds.
const retryAfter = 2

var (
	errNoToken = errors.New("no access token")
	// errInvalidLoginCode is a wrong code without an access token, which may be a 401.
	errInvalidLoginCode = errors.New("invalid code of a login")
	// errInvalidPasskeyLogin is likewise a passkey that is not accepted.
	errInvalidPasskeyLogin = errors.New("invalid passkey of a login")
)

// errorRow is one row of the table from errors to responses.
type errorRow struct {
	matches   func(error) bool
	status    int
	code      api.ProblemCode
	challenge string // WWW-Authenticate; empty: none
}

const (
	realm        = `Bearer realm="sesame"`
	invalidToken = realm + `, error="invalid_token"`
)

// errorTable maps errors to responses. The first row that matches counts; the last one matches
// everything.
var errorTable = []errorRow{
	{as[*invalidRequestError], http.StatusBadRequest, api.ProblemCodeValidationFailed, ""},
	{is(auth.ErrInvalidEmail), http.StatusBadRequest, api.ProblemCodeValidationFailed, ""},
	{is(errMalformed), http.StatusBadRequest, api.ProblemCodeMalformedBody, ""},
	{is(errBodyReading), http.StatusBadRequest, api.ProblemCodeMalformedBody, ""},
	{as[*auth.WeakPasswordError], http.StatusBadRequest, api.ProblemCodeWeakPassword, ""},
	{is(auth.ErrEmailTaken), http.StatusBadRequest, api.ProblemCodeEmailTaken, ""},
	{is(auth.ErrInvalidCredentials), http.StatusUnauthorized, api.ProblemCodeInvalidCredentials, realm},
	{as[*auth.SecondFactorError], http.StatusUnauthorized, api.ProblemCodeSecondFactorRequired, realm},
	{is(auth.ErrInvalidLoginToken), http.StatusUnauthorized, api.ProblemCodeInvalidLoginToken, realm},
	{is(errInvalidLoginCode), http.StatusUnauthorized, api.ProblemCodeInvalidCode, realm},
	{is(auth.ErrInvalidCode), http.StatusForbidden, api.ProblemCodeInvalidCode, ""},
	{as[*auth.RecentLoginError], http.StatusUnauthorized, api.ProblemCodeInsufficientUserAuthentication, ""},
	{is(errNoToken), http.StatusUnauthorized, api.ProblemCodeInvalidAccessToken, realm},
	{is(auth.ErrInvalidAccessToken), http.StatusUnauthorized, api.ProblemCodeInvalidAccessToken, invalidToken},
	{is(auth.ErrInvalidRefreshToken), http.StatusUnauthorized, api.ProblemCodeInvalidRefreshToken, realm},
	{is(auth.ErrForeignRefreshToken), http.StatusBadRequest, api.ProblemCodeInvalidRefreshToken, ""},
	{is(auth.ErrInvalidLink), http.StatusUnauthorized, api.ProblemCodeInvalidLink, realm},
	{is(auth.ErrIncorrectPassword), http.StatusForbidden, api.ProblemCodeIncorrectPassword, ""},
	{is(auth.ErrEmailNotVerified), http.StatusForbidden, api.ProblemCodeEmailNotVerified, ""},
	{is(auth.ErrRegistrationClosed), http.StatusForbidden, api.ProblemCodeRegistrationClosed, ""},
	{is(errInvalidPasskeyLogin), http.StatusUnauthorized, api.ProblemCodeInvalidPasskey, realm},
	{is(passkey.ErrInvalid), http.StatusForbidden, api.ProblemCodeInvalidPasskey, ""},
	{is(auth.ErrPasskeyExists), http.StatusConflict, api.ProblemCodePasskeyExists, ""},
	{is(auth.ErrTooManyPasskeys), http.StatusConflict, api.ProblemCodePasskeyLimit, ""},
	{is(auth.ErrLastPasskey), http.StatusConflict, api.ProblemCodeLastPasskey, ""},
	{is(auth.ErrUnknownPasskey), http.StatusNotFound, api.ProblemCodeNotFound, ""},
	{is(auth.ErrFactorExists), http.StatusConflict, api.ProblemCodeFactorExists, ""},
	{is(auth.ErrUnknownFactor), http.StatusNotFound, api.ProblemCodeNotFound, ""},
	{is(auth.ErrUnknownSession), http.StatusNotFound, api.ProblemCodeNotFound, ""},
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

// is and as match like errors.Is and errors.As.
func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// problems makes problem documents. Their type is a page under the public URL.
type problems struct{ publicURL string }

func (p problems) of(err error, id string) (errorRow, api.Problem) {
	err = validationError(err)
	row := errorTable[slices.IndexFunc(errorTable, func(r errorRow) bool { return r.matches(err) })]
	problemType := problemTypeOf(row.code)
	document := api.Problem{
		Type:     p.publicURL + "/problems/" + row.code,
		Title:    problemType.title,
		Status:   int32(row.status), //nolint:gosec // a status
		Detail:   problemType.detail,
		Code:     row.code,
		Instance: "urn:uuid:" + id,
	}
	if invalid, ok := errors.AsType[*invalidRequestError](err); ok {
		document.Errors = &invalid.errors
	}
	if weak, ok := errors.AsType[*auth.WeakPasswordError](err); ok {
		i := slices.IndexFunc(weakPasswords, func(w weakPassword) bool { return errors.Is(weak, w.err) })
		document.Reason, document.Detail = &weakPasswords[i].reason, weakPasswords[i].detail
	}
	if half, ok := errors.AsType[*auth.SecondFactorError](err); ok {
		factors := []api.FactorType{}
		for _, factor := range half.Factors {
			factors = append(factors, api.FactorType(factor))
		}
		document.LoginToken, document.Factors = &half.LoginToken, &factors
	}
	if errors.Is(err, errBodyReading) {
		document.Detail = "The request body could not be read completely."
	}
	return row, document
}

// validationError turns the errors of package auth that are about one value into a validation
// error. The OpenAPI document limits the length of the password as submitted; its normalized form
// may be shorter or longer.
func validationError(err error) error {
	invalid := &invalidRequestError{}
	short, isShort := errors.AsType[*password.TooShortError](err)
	switch {
	case isShort:
		code, detail := tooShort(uint64(short.MinLength)) //nolint:gosec // at least 8
		invalid.add("/password", code, detail)
	case errors.Is(err, password.ErrTooLong):
		code, detail := tooLong(password.MaxLength)
		invalid.add("/password", code, detail)
	case errors.Is(err, auth.ErrCodeRequired):
		invalid.add("/code", api.ValidationCodeRequired, isRequired)
	case errors.Is(err, auth.ErrInvalidName): // of a passkey: other names are validated earlier
		invalid.add("/name", api.ValidationCodeInvalidFormat, isInvalid)
	case errors.Is(err, auth.ErrSameEmail):
		invalid.add("/email", api.ValidationCodeNotAllowed, "The account has this email already.")
	default:
		return err
	}
	return invalid
}

// weakPassword describes why a password was rejected.
type weakPassword struct {
	err    error
	reason api.WeakPasswordReason
	detail string
}

var weakPasswords = []weakPassword{
	{password.ErrCharacters, api.WeakPasswordReasonUnsupportedCharacters,
		"This password contains a character that is not supported, such as a control character."},
	{password.ErrCommon, api.WeakPasswordReasonCommon,
		"This password is too common. Choose another one."},
	{password.ErrCommonVariant, api.WeakPasswordReasonCommon,
		"This password is a simple variation of a common one. Choose another one."},
	{password.ErrBreached, api.WeakPasswordReasonBreached,
		"This password is known from a data breach. Choose another one."},
	{password.ErrPersonal, api.WeakPasswordReasonPersonal,
		"This password is too similar to your name, your email or the name of this service. Choose another one."},
}

// recentLoginChallenge returns the challenge of RFC 9470, section 3.
func recentLoginChallenge(required *auth.RecentLoginError) string {
	challenge := fmt.Sprintf(`%s, error="insufficient_user_authentication", max_age="%d"`,
		realm, int64(required.MaxAge.Seconds()))
	if required.ACR != "" {
		challenge += fmt.Sprintf(`, acr_values="%s"`, required.ACR)
	}
	return challenge
}

// writeError writes the problem document of an error.
func (m *middleware) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	state := stateOf(c.Request().Context())
	row, document := m.problems.of(err, state.client.RequestID)
	state.setProblem(row.code)
	switch {
	case errors.Is(err, password.ErrBusy): // a flood of logins must not flood the log
		m.metrics.refused.Inc()
		m.busy.Happened()
	case row.status >= http.StatusInternalServerError:
		m.log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
			state.logged(), slog.String("route", c.Path()), slog.Any("err", err))
	}
	header := c.Response().Header()
	if row.challenge != "" {
		header.Set("WWW-Authenticate", row.challenge)
	}
	if recent, ok := errors.AsType[*auth.RecentLoginError](err); ok {
		header.Set("WWW-Authenticate", recentLoginChallenge(recent))
	}
	if row.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if throttled, ok := errors.AsType[*auth.ThrottledError](err); ok {
		roundedUp := (throttled.RetryAfter + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.FormatInt(int64(roundedUp), 10))
	}
	if m.writeErrorPage(c, document) {
		return
	}
	header.Set("Content-Type", "application/problem+json")
	c.Response().WriteHeader(row.status)
	if err := c.Echo().JSONSerializer.Serialize(c, document, ""); err != nil {
		m.log.Error("could not write a response", state.logged(), slog.Any("err", err))
	}
}
