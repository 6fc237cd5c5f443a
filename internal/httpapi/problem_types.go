package httpapi

import (
	"slices"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/web"
)

// problemType is what the documents of one type of problem and the page about it say.
type problemType struct {
	code   api.ProblemCode
	title  string
	detail string // what it means
	causes string
	remedy string
}

// problemTypes lists every type of problem, in the order of the OpenAPI document.
var problemTypes = []problemType{
	{code: api.ProblemCodeValidationFailed, title: "Invalid request",
		detail: "The request is invalid. The member `errors` lists every error.",
		causes: "A value is missing, has the wrong type, is too short or too long, " +
			"is not a valid email address, was given twice, or differs from a value that it must repeat.",
		remedy: "Read the errors. Each has a code for programs, a sentence for people, " +
			"and the place in the request: a JSON pointer into the body, or the name of a parameter."},
	{code: api.ProblemCodeMalformedBody, title: "Malformed request body",
		detail: "The request body is not valid JSON.",
		causes: "The body did not arrive completely, or JSON parsers may disagree about it: " +
			"a name occurs twice, the text is not UTF-8 or contains NUL, a number is too large for a double, " +
			"something follows the value, it is nested too deeply, or it has hundreds of values.",
		remedy: "Send one JSON object in UTF-8, with every name once, without NUL, " +
			"and with nothing after the closing brace."},
	{code: api.ProblemCodeWeakPassword, title: "Weak password",
		detail: "This password is not allowed. Choose another one.",
		causes: "The password is one of the most common ones or a simple variation of one, " +
			"is known from a data breach, is made from the name, the email or the name of this service, " +
			"or contains a character that is not supported.",
		remedy: "Choose another password. The member `reason` of the problem says what is wrong with this one."},
	{code: api.ProblemCodeEmailTaken, title: "Email already registered",
		detail: "An account with this email already exists. Log in, or reset the password.",
		causes: "Each email has one account. Upper and lower case make no difference.",
		remedy: "Log in with the email, or request a password reset for it."},
	{code: api.ProblemCodeInvalidCredentials, title: "Invalid credentials",
		detail: "The email or password is incorrect.",
		causes: "There is no account with this email, the password is wrong, or the account is disabled. " +
			"The response deliberately does not say which.",
		remedy: "Check the spelling of both, or request a password reset."},
	{code: api.ProblemCodeSecondFactorRequired, title: "Second factor required",
		detail: "Enter a code from your authenticator app, or a recovery code.",
		causes: "The email and the password are right, and the account has a second factor.",
		remedy: "Call completeLogin with the member `loginToken` of the problem and a code. " +
			"The member `factors` lists where the code can come from. The token is valid for five minutes."},
	{code: api.ProblemCodeInvalidLoginToken, title: "Invalid login token",
		detail: "The login has expired. Log in again.",
		causes: "A login token is valid for five minutes and for one login. " +
			"A change of the password or the email makes it invalid earlier.",
		remedy: "Log in again with the password."},
	{code: api.ProblemCodeInvalidCode, title: "Invalid code",
		detail: "The code is incorrect, has expired, or was already used.",
		causes: "A code of an authenticator app is valid for about a minute, and each code works once. " +
			"The clock of the phone may be wrong. After 100 wrong codes in a row, only recovery codes work.",
		remedy: "Wait for the next code of the app, or use a recovery code. " +
			"A password reset makes the codes of the app work again."},
	{code: api.ProblemCodeInsufficientUserAuthentication, title: "Recent login required",
		detail: "Confirm that it is you, then try again.",
		causes: "The access token is valid, but the operation requires a login within the last ten minutes, " +
			"with the second factor if the account has one. Refreshing the token does not help.",
		remedy: "Call reauthenticate with the password and, if the account has a second factor, a code. " +
			"Then send the request again with the new access token. An account without a password logs in with a passkey."},
	{code: api.ProblemCodeInvalidAccessToken, title: "Invalid access token",
		detail: "The access token is missing, malformed or expired, or its session has ended.",
		causes: "An access token is valid for a few minutes. It ends earlier with its session: " +
			"by a logout, a new password, or when the account is disabled.",
		remedy: "Send the access token in one Authorization header: the word Bearer, a space, the token. " +
			"If it has expired, refresh it; if that fails too, log in again."},
	{code: api.ProblemCodeInvalidRefreshToken, title: "Invalid refresh token",
		detail: "The session has expired or ended. Log in again.",
		causes: "The session ended by a logout, a new password or its age. " +
			"Or the token was used before: an old token that is used again may have been stolen, so the session is revoked.",
		remedy: "Log in again. If your client did nothing unusual, check where its refresh token may have leaked. " +
			"To log out, send any refresh token that this server issued for the session."},
	{code: api.ProblemCodeInvalidLink, title: "Invalid link",
		detail: "The link has expired, was already used, or was replaced by a newer one.",
		causes: "A link in an email works once, for a limited time, for one account and for one purpose. " +
			"A newer link replaces it, and so does a change of the password or the email.",
		remedy: "Use the link in the newest email, or request another one."},
	{code: api.ProblemCodeIncorrectPassword, title: "Incorrect password",
		detail: "The password is incorrect.",
		causes: "The operation asks for the password of the account in addition to the access token or the emailed link. " +
			"Both stay valid.",
		remedy: "Try again with the right password, or reset it. Refreshing the access token does not help."},
	{code: api.ProblemCodeEmailNotVerified, title: "Email not verified",
		detail: "Verify your email first: use the link that we sent to it, or request another one.",
		causes: "The email and the password are right, but this server requires verified emails.",
		remedy: "Use the link in the email, or request another one with sendVerificationEmail. " +
			"A password reset by email verifies the email, too."},
	{code: api.ProblemCodeRegistrationClosed, title: "Registration closed",
		detail: "New accounts cannot be registered here. Ask the operator for an account.",
		causes: "The operator of this server creates the accounts.",
		remedy: "Ask the operator for an account. Operators: see SESAME_REGISTRATION."},
	{code: api.ProblemCodeFactorExists, title: "Second factor exists",
		detail: "The account has an authenticator app already. Remove it first.",
		causes: "An account has at most one authenticator app, and a new one never replaces it.",
		remedy: "Remove the authenticator app with removeTOTP, then add another one."},
	{code: api.ProblemCodeInvalidPasskey, title: "Invalid passkey",
		detail: "The passkey was not accepted. Try again.",
		causes: "The passkey is unknown, the options were used before or have expired, " +
			"the page has another origin than those that the operator allows, " +
			"or the device did not ask for a PIN, a fingerprint or the like.",
		remedy: "Start again with new options. If that fails, log in with the password. Operators: the audit log says why."},
	{code: api.ProblemCodePasskeyExists, title: "Passkey exists",
		detail: "This passkey is registered already.",
		causes: "The device has created a passkey that the server knows already.",
		remedy: "Use the passkey to log in, or remove it first."},
	{code: api.ProblemCodePasskeyLimit, title: "Too many passkeys",
		detail: "The account has the maximum number of passkeys. Remove one first.",
		causes: "An account can have 20 passkeys.",
		remedy: "Remove a passkey that is not used any more."},
	{code: api.ProblemCodeLastPasskey, title: "Last passkey",
		detail: "This is the only way to log in to the account. Set a password or add another passkey first.",
		causes: "The account has no password and only one passkey.",
		remedy: "Set a password with forgotPassword, or add another passkey."},
	{code: api.ProblemCodeNotFound, title: "Not found",
		detail: "There is nothing at this path.",
		causes: "The path is not in the OpenAPI document, in which a slash at the end makes a difference. " +
			"Or it contains the id of something that does not exist.",
		remedy: "Compare the path with the OpenAPI document, /openapi.yaml."},
	{code: api.ProblemCodeMethodNotAllowed, title: "Method not allowed",
		detail: "This path does not support this method. The Allow header lists the methods it supports.",
		causes: "The path exists, but not with this method.",
		remedy: "Use one of the methods in the Allow header."},
	{code: api.ProblemCodeContentTooLarge, title: "Request body too large",
		detail: "The request body is larger than 16 KiB.",
		causes: "The server does not read more, so that nobody can fill its memory.",
		remedy: "Send a smaller body. No valid request comes close to this size."},
	{code: api.ProblemCodeUnsupportedMediaType, title: "Unsupported media type",
		detail: "The request body must be sent with the header Content-Type: application/json.",
		causes: "The Content-Type is missing or a different one, names a charset other than UTF-8, " +
			"or the body is compressed.",
		remedy: "Send JSON in UTF-8 with the header Content-Type: application/json, and do not compress it."},
	{code: api.ProblemCodeTooManyRequests, title: "Too many requests",
		detail: "Too many attempts. Try again in the number of seconds given by the Retry-After header.",
		causes: "Attempts to use a password and requests for emails are limited for each account and each network, " +
			"to stop guessing. Somebody else in the same network may have used up its limit.",
		remedy: "Wait for the number of seconds in the Retry-After header. " +
			"Attempts before that are refused without being checked."},
	{code: api.ProblemCodeInternalError, title: "Internal server error",
		detail: "Something went wrong on the server. The operator can find the cause in its log.",
		causes: "This is an error of the server, not of the request.",
		remedy: "Send the member `instance` of the problem to the operator of the server. " +
			"The log has the cause under this id."},
	{code: api.ProblemCodeUnavailable, title: "Service unavailable",
		detail: "The service is temporarily unavailable. Try again shortly.",
		causes: "The database is unreachable or slow, or too many passwords are waiting to be hashed.",
		remedy: "Try again after the number of seconds in the Retry-After header. " +
			"Nothing was changed, so trying again is safe."},
}

// problemTypeOf returns the type with this code. Every code has one.
func problemTypeOf(code api.ProblemCode) problemType {
	for _, t := range problemTypes {
		if t.code == code {
			return t
		}
	}
	panic("there is no problem type with the code " + code)
}

// problemPages returns the pages about the problem types, with the statuses of their responses.
func problemPages() []web.Problem {
	pages := make([]web.Problem, 0, len(problemTypes))
	for _, t := range problemTypes {
		page := web.Problem{Code: t.code, Title: t.title, Detail: t.detail, Causes: t.causes, Remedy: t.remedy}
		for _, row := range errorTable {
			if row.code == t.code {
				page.Statuses = append(page.Statuses, row.status)
			}
		}
		slices.Sort(page.Statuses)
		page.Statuses = slices.Compact(page.Statuses)
		pages = append(pages, page)
	}
	return pages
}
