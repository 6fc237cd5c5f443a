package conformance

import (
	"net/http"
	"slices"
	"strings"

	sesame "github.com/sesame-auth/sesame"
)

// Where the deployment shows a contract, it must be the one it is held against.
func checkServed(s *suite) {
	a := s.send(get("/openapi.yaml"))
	s.hold(a.status != http.StatusOK || string(a.raw) == string(sesame.OpenAPI),
		"the deployment has another contract: use the sesame of its version")
}

// There are keys, and every way to them leads to the same. That none is private is the contract's.
func checkKeys(s *suite) {
	keys := s.expect(http.StatusOK, get("/.well-known/jwks.json"))
	list, _ := keys.body["keys"].([]any)
	s.hold(len(list) > 0, "there must be a key")
	metadata := s.expect(http.StatusOK, get("/.well-known/oauth-authorization-server"))
	s.hold(metadata.text("jwks_uri") == metadata.text("issuer")+"/.well-known/jwks.json", "jwks_uri must be the issuer's")
	same := s.expect(http.StatusOK, get("/.well-known/openid-configuration"))
	s.hold(string(same.raw) == string(metadata.raw), "both metadata must be the same")
}

// What is not in the contract is told apart: no such path, or not this method.
func checkMethods(s *suite) {
	for _, operation := range s.contract.Operations() {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if method == operation.Method {
				continue
			}
			a := s.refuse(http.StatusMethodNotAllowed, "method_not_allowed", call{method: method, path: operation.Path})
			s.hold(slices.Contains(strings.Split(a.header.Get("Allow"), ", "), operation.Method), "Allow must name %s", operation.Method)
		}
	}
	s.refuse(http.StatusNotFound, "not_found", get("/auth/nothing"))
}

// longestBody is one byte more than the server reads.
const longestBody = 16<<10 + 1

// A body is one JSON value that every reader understands alike, declared as such, and not endless.
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
		for _, body := range []string{`{"email":`, `{}{}`, `{"x":1,"x":2}`, `{"x":"\u0000"}`, "{\"x\":\"\xff\"}", `{"x":1e999}`} {
			s.refuse(http.StatusBadRequest, "malformed_body", with(mediaJSON, body))
		}
		s.refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", with("text/plain", `{}`))
		s.refuse(http.StatusRequestEntityTooLarge, "content_too_large", with(mediaJSON, strings.Repeat(" ", longestBody)))
	}
}
