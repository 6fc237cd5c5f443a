package conformance

import (
	"net/http"
	"slices"
	"strings"

	sesame "github.com/sesame-auth/sesame"
)

// checkServed requires that the deployment serves the same OpenAPI document, if it serves one.
func checkServed(s *suite) {
	r := s.send(get("/openapi.yaml"))
	s.require(r.status != http.StatusOK || string(r.raw) == string(sesame.OpenAPI),
		"the deployment has another OpenAPI document: use the sesame binary of its version")
}

func checkUnknownPath(s *suite) {
	s.refuse(http.StatusNotFound, "not_found", get("/auth/nothing"))
}

// commonChecks returns the checks that follow from the OpenAPI document alone.
func commonChecks(operation Operation) []check {
	checks := []check{{name: "other methods", run: func(s *suite) { checkMethods(s, operation) }}}
	if operation.HasBody {
		checks = append(checks, check{name: "invalid bodies", run: func(s *suite) { checkBodies(s, operation) }})
	}
	if operation.Secured {
		checks = append(checks,
			check{name: "no access token", run: func(s *suite) { checkNoToken(s, operation) }},
			check{name: "wrong access tokens", run: func(s *suite) { checkWrongTokens(s, operation) }})
	}
	for i := range checks {
		checks[i].operation = operation.ID
	}
	return checks
}

// checkMethods requires 405 for the methods that no operation of the path has.
func checkMethods(s *suite, operation Operation) {
	path := operation.examplePath()
	for _, method := range []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if s.contract.OperationAt(method, path) != "" {
			continue
		}
		r := s.refuse(http.StatusMethodNotAllowed, "method_not_allowed", call{method: method, path: path})
		allowed := strings.Split(r.header.Get("Allow"), ", ")
		s.require(slices.Contains(allowed, operation.Method), "Allow must name %s", operation.Method)
	}
}

// tooLongBody is the maximum size of a body, plus 1.
const tooLongBody = 16<<10 + 1

// checkBodies requires that a body is refused if it is not JSON, ambiguous, of another type or too
// long.
func checkBodies(s *suite, operation Operation) {
	var access string
	if operation.Secured {
		access = s.logIn().access
	}
	with := func(media, body string) call {
		path := operation.examplePath() + "?token=x"
		return call{method: operation.Method, path: path, media: media, body: body, bearer: access}
	}
	s.refuse(http.StatusBadRequest, "validation_failed", with("", ""))
	if !operation.AllOptional {
		s.refuse(http.StatusBadRequest, "validation_failed", with(mediaJSON, `{}`))
	}
	s.refuse(http.StatusBadRequest, "validation_failed", with(mediaJSON, `null`))
	for _, body := range []string{
		`{"email":`, `{}{}`, `{"x":1,"x":2}`, `{"x":"\u0000"}`, "{\"x\":\"\xff\"}", `{"x":1e999}`,
	} {
		s.refuse(http.StatusBadRequest, "malformed_body", with(mediaJSON, body))
	}
	s.refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", with("text/plain", `{}`))
	tooLong := with(mediaJSON, strings.Repeat(" ", tooLongBody))
	s.refuse(http.StatusRequestEntityTooLarge, "content_too_large", tooLong)
}

// withToken returns a request with an access token, and with an empty body if there must be one.
func withToken(operation Operation, access string) call {
	c := call{method: operation.Method, path: operation.examplePath(), bearer: access}
	if operation.HasBody {
		c.media, c.body = mediaJSON, `{}`
	}
	return c
}

func checkNoToken(s *suite, operation Operation) {
	r := s.refuse(http.StatusUnauthorized, "invalid_access_token", withToken(operation, ""))
	s.require(!strings.Contains(r.header.Get("WWW-Authenticate"), "error="),
		"the challenge must not contain an error if there is no token")
}

// checkWrongTokens requires that an access token is refused if it is changed or not in the header.
func checkWrongTokens(s *suite, operation Operation) {
	t := s.logIn()
	dot := strings.LastIndex(t.access, ".") + 1
	head, signature := t.access[:dot], t.access[dot:]
	for _, wrong := range []string{"x", head, t.access + "A", head + strings.Repeat("A", len(signature)), t.refresh} {
		r := s.refuse(http.StatusUnauthorized, "invalid_access_token", withToken(operation, wrong))
		s.require(strings.Contains(r.header.Get("WWW-Authenticate"), `error="invalid_token"`),
			"the challenge must contain error=\"invalid_token\"")
	}
	inQuery := withToken(operation, "")
	inQuery.path += "?access_token=" + t.access
	s.refuse(http.StatusUnauthorized, "invalid_access_token", inQuery)
}
