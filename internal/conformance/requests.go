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

// checkKeys requires a key, and metadata that links to it. The schema of a key does not allow
// private keys.
func checkKeys(s *suite) {
	keys := s.expect(http.StatusOK, get("/.well-known/jwks.json"))
	list, _ := keys.body["keys"].([]any)
	s.require(len(list) > 0, "there must be a key")
	metadata := s.expect(http.StatusOK, get("/.well-known/oauth-authorization-server"))
	s.require(metadata.text("jwks_uri") == metadata.text("issuer")+"/.well-known/jwks.json",
		"jwks_uri must be below the issuer")
	same := s.expect(http.StatusOK, get("/.well-known/openid-configuration"))
	s.require(string(same.raw) == string(metadata.raw), "both metadata documents must be the same")
}

// checkMethods requires 405 for other methods of an operation and 404 for unknown paths.
func checkMethods(s *suite) {
	for _, operation := range s.contract.Operations() {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if method == operation.Method {
				continue
			}
			other := call{method: method, path: operation.Path}
			r := s.refuse(http.StatusMethodNotAllowed, "method_not_allowed", other)
			allowed := strings.Split(r.header.Get("Allow"), ", ")
			s.require(slices.Contains(allowed, operation.Method), "Allow must name %s", operation.Method)
		}
	}
	s.refuse(http.StatusNotFound, "not_found", get("/auth/nothing"))
}

// tooLongBody is the maximum size of a body, plus 1.
const tooLongBody = 16<<10 + 1

// checkBodies requires that a body is refused if it is not JSON, ambiguous, of another type or too
// long.
func checkBodies(s *suite) {
	for _, operation := range s.contract.Operations() {
		if !operation.HasBody {
			continue
		}
		with := func(media, body string) call {
			return call{method: operation.Method, path: operation.Path + "?token=x", media: media, body: body}
		}
		s.refuse(http.StatusBadRequest, "validation_failed", with("", ""))
		s.refuse(http.StatusBadRequest, "validation_failed", with(mediaJSON, `{}`))
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
}
