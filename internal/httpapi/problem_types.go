package httpapi

import (
	"slices"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/web"
)

// kind is a kind of problem: what its documents and the page about it say.
type kind struct {
	code   api.ProblemCode
	title  string
	detail string // what it means
	why    string // how it comes about
	fix    string // what to do
}

// kinds is every kind of problem there is, in the order of the contract.
var kinds = []kind{
	{code: api.ProblemCodeValidationFailed, title: "Request not valid",
		detail: "The request does not match the contract; each fault is listed.",
		why:    "A member or a parameter is missing, of another type, too short or too long, was given twice, or differs from the one it must equal.",
		fix:    "Read the errors of the problem: each names a place in the request and what must hold there."},
	{code: api.ProblemCodeMalformedBody, title: "Body not readable",
		detail: "The body is not one JSON value in UTF-8 with distinct keys.",
		why:    "It did not arrive whole, or two readers of JSON might not agree about it: a name occurs twice, a text is not UTF-8 or holds NUL, a number is too large for a double, something follows the value, or it nests too deep.",
		fix:    "Send one JSON object: UTF-8, every name once, no NUL, nothing after the closing brace."},
	{code: api.ProblemCodeWeakPassword, title: "Password not acceptable",
		detail: "The password is not one that may be chosen.",
		why:    "It has a length or a character that cannot be used, is one of the most common passwords or close to one, is known from a leak, or is made of the name, the address or the name of this service.",
		fix:    "Choose another password. The problem's detail says what is wrong with this one."},
	{code: api.ProblemCodeEmailTaken, title: "Address already registered",
		detail: "An account with this address exists already. Log in, or reset its password.",
		why:    "One address has one account, in whatever case it is written.",
		fix:    "Log in with the address, or request a password reset for it."},
	{code: api.ProblemCodeInvalidCredentials, title: "Address or password not accepted",
		detail: "The address and the password do not belong to an account that can log in.",
		why:    "There is no account of this address, its password is another one, or it is disabled. Which of these is not told, on purpose.",
		fix:    "Check the spelling of both, or request a password reset."},
	{code: api.ProblemCodeInvalidAccessToken, title: "Access token not accepted",
		detail: "The access token is missing, malformed, expired, or its session has ended.",
		why:    "An access token lives for minutes, and ends sooner with its session: by a logout, a new password, or when the account is disabled.",
		fix:    "Send an access token in one Authorization header: Bearer, a space, the token. If it has expired, refresh it; if that is refused too, log in."},
	{code: api.ProblemCodeInvalidRefreshToken, title: "Refresh token not accepted",
		detail: "The refresh token was not issued by this server, or it no longer opens its session.",
		why:    "The session ended, by a logout, a new password or its age. Or the token had been traded before: a token that comes back later may have been stolen, so the session is ended to be safe.",
		fix:    "Log in. A client that did nothing odd should look for where its refresh token may have leaked. To log out, send any refresh token that this server issued for the session."},
	{code: api.ProblemCodeInvalidResetToken, title: "Reset link not accepted",
		detail: "The reset token is unknown, expired, already used, or replaced by a newer one.",
		why:    "A link works once and for a short time. A newer link, and every change of the password, voids it.",
		fix:    "Use the newest mail, or request another one."},
	{code: api.ProblemCodeNotFound, title: "Not found",
		detail: "There is nothing at this path.",
		why:    "The path is not in the contract. A slash at its end counts.",
		fix:    "Compare the path with the contract, /openapi.yaml."},
	{code: api.ProblemCodeMethodNotAllowed, title: "Method not allowed",
		detail: "This path does not take this method; the Allow header lists those it takes.",
		why:    "The path is right and the method is not the contract's.",
		fix:    "Use a method of the Allow header."},
	{code: api.ProblemCodeContentTooLarge, title: "Body too large",
		detail: "The body is larger than 16 KiB.",
		why:    "What is beyond is not read, so that nobody can fill the server's memory.",
		fix:    "Send less. No valid request comes near this size."},
	{code: api.ProblemCodeUnsupportedMediaType, title: "Body is not JSON",
		detail: "The body must be sent as Content-Type: application/json.",
		why:    "The Content-Type is missing or another one, names a charset other than UTF-8, or the body is compressed.",
		fix:    "Send JSON in UTF-8, say so in the Content-Type header, and do not compress it."},
	{code: api.ProblemCodeTooManyRequests, title: "Too many attempts",
		detail: "There were too many attempts. Try again after the seconds of the Retry-After header.",
		why:    "Attempts with passwords and requests for mails are limited by account and by network, so that guessing is hopeless. Somebody else of the same network may have used up what it may try.",
		fix:    "Wait for the seconds of the Retry-After header. Attempts in between are refused without being looked at."},
	{code: api.ProblemCodeInternalError, title: "Internal error",
		detail: "The server failed. Its log has the cause under this problem's instance.",
		why:    "This is a fault of the server, not of the request.",
		fix:    "Tell the operator of the server the instance of the problem: the log has the cause under it."},
	{code: api.ProblemCodeUnavailable, title: "Temporarily unavailable",
		detail: "The server cannot reach its database, or is overloaded. Try again shortly.",
		why:    "The database is out of reach or slow, or more passwords wait to be hashed than there is time for.",
		fix:    "Try again after the seconds of the Retry-After header. Nothing was acknowledged, so trying again is safe."},
}

// kindOf is the kind of a code, which has one.
func kindOf(code api.ProblemCode) kind {
	for _, kind := range kinds {
		if kind.code == code {
			return kind
		}
	}
	panic("no kind of problem has the code " + code)
}

// problemPages are the pages about the kinds of problems, with the statuses their answers have.
func problemPages() []web.Problem {
	pages := make([]web.Problem, 0, len(kinds))
	for _, kind := range kinds {
		page := web.Problem{Code: string(kind.code), Title: kind.title, Detail: kind.detail, Why: kind.why, Fix: kind.fix}
		for _, answer := range answers {
			if answer.code == kind.code {
				page.Statuses = append(page.Statuses, answer.status)
			}
		}
		slices.Sort(page.Statuses)
		page.Statuses = slices.Compact(page.Statuses)
		pages = append(pages, page)
	}
	return pages
}
