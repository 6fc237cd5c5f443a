package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"
)

const documentWithParameter = `{
	"openapi": "3.0.3", "info": {"title": "T", "version": "1"},
	"components": {"securitySchemes": {"BearerAuth": {"type": "http", "scheme": "bearer"}}},
	"paths": {"/things/{thingId}": {"delete": {
		"operationId": "deleteThing", "security": [{"BearerAuth": []}],
		"parameters": [
			{"name": "thingId", "in": "path", "required": true, "schema": {"type": "string", "maxLength": 3}}
		],
		"responses": {"200": {"description": "OK"}}
	}}}
}`

// serveDocument returns a handler whose one route deletes a thing. A request is authenticated if
// its Authorization header is "Bearer good".
func serveDocument(t *testing.T) http.Handler {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData([]byte(documentWithParameter))
	if err != nil {
		t.Fatal(err)
	}
	v := newValidator(document, func(_ context.Context, input *openapi3filter.AuthenticationInput) error {
		if input.RequestValidationInput.Request.Header.Get("Authorization") != "Bearer good" {
			return errNoToken
		}
		return nil
	})
	router := echo.New()
	router.Use(Origins{"https://app.example.com"}.allow(v.isOperation))
	router.Use(v.validate)
	router.HTTPErrorHandler = func(err error, c echo.Context) {
		status := http.StatusBadRequest
		if errors.Is(err, errNoToken) {
			status = http.StatusUnauthorized
		}
		_ = c.NoContent(status)
	}
	router.DELETE("/things/:thingId", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	if err := v.checkRoutes(router.Routes(), nil); err != nil {
		t.Fatal(err)
	}
	return router
}

// An operation whose path has a parameter is authenticated and validated like any other.
func TestPathWithParameter(t *testing.T) {
	handler := serveDocument(t)
	for _, test := range []struct {
		path, authorization string
		want                int
	}{
		{"/things/abc", "Bearer good", http.StatusOK},
		{"/things/abc", "", http.StatusUnauthorized},
		{"/things/abc", "Bearer bad", http.StatusUnauthorized},
		{"/things/abcd", "Bearer good", http.StatusBadRequest},
		{"/things/a%2Fb", "Bearer good", http.StatusOK},
		{"/things/a%2Fbc", "Bearer good", http.StatusBadRequest},
	} {
		request := httptest.NewRequest(http.MethodDelete, test.path, nil)
		if test.authorization != "" {
			request.Header.Set("Authorization", test.authorization)
		}
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code != test.want {
			t.Errorf("%s with %q: %d, want %d", test.path, test.authorization, response.Code, test.want)
		}
	}
}

// A preflight of an operation succeeds also if its path has a parameter, and without a token.
func TestPreflightOfPathWithParameter(t *testing.T) {
	handler := serveDocument(t)
	for method, allowed := range map[string]string{http.MethodDelete: http.MethodDelete, http.MethodPatch: ""} {
		request := httptest.NewRequest(http.MethodOptions, "/things/abcd", nil)
		request.Header.Set("Origin", "https://app.example.com")
		request.Header.Set("Access-Control-Request-Method", method)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if got := response.Header().Get("Access-Control-Allow-Methods"); got != allowed {
			t.Errorf("preflight of %s: %d, allowed is %q", method, response.Code, got)
		}
	}
}

// The server does not start if an operation has no route, or if a route is neither an operation nor
// a page.
func TestRoutesMatchTheDocument(t *testing.T) {
	document, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	v := newValidator(document, nil)
	pages := map[route]bool{{http.MethodGet, "/docs"}: true}
	var routes []*echo.Route
	for key := range v.operations {
		routes = append(routes, &echo.Route{Method: key.method, Path: key.path})
	}
	routes = append(routes, &echo.Route{Method: http.MethodGet, Path: "/docs"})
	if err := v.checkRoutes(routes, pages); err != nil {
		t.Errorf("matching routes: %v", err)
	}
	extra := &echo.Route{Method: http.MethodPost, Path: "/auth/backdoor"}
	err = v.checkRoutes(append(routes, extra), pages)
	if err == nil || !strings.Contains(err.Error(), "POST /auth/backdoor is neither") {
		t.Errorf("an extra route: %v", err)
	}
	if err := v.checkRoutes(routes[1:], pages); err == nil || !strings.Contains(err.Error(), "has no route") {
		t.Errorf("a missing route: %v", err)
	}
}
