package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/password"
)

// loadDocument parses the part of the OpenAPI document that requests are validated against.
func loadDocument() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIRequests)
	if err != nil {
		return nil, fmt.Errorf("load the OpenAPI document: %w", err)
	}
	return document, nil
}

// requireLength makes validation require the length of new passwords that is configured, which may
// be more than the minimum in the published document. Thus a password that is too short is reported
// together with the other errors of a request. The policy checks the length again, after
// normalization.
func requireLength(document *openapi3.T, passwords password.Policy) error {
	for _, name := range []string{"RegisterInput", "ResetPasswordInput", "ChangePasswordInput"} {
		input := document.Components.Schemas[name]
		if input == nil || input.Value.Properties["password"] == nil {
			return fmt.Errorf("the OpenAPI document has no new password in %s", name)
		}
		input.Value.Properties["password"].Value.MinLength = uint64(passwords.Required()) //nolint:gosec // at least 8
	}
	return nil
}

// validator validates requests against the OpenAPI document.
type validator struct {
	operations map[route]*routers.Route
	options    openapi3filter.Options
}

// route is a method and a path as Echo writes it, with parameters as ":name".
type route struct{ method, path string }

var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// echoPath returns a path of the OpenAPI document as Echo writes it.
func echoPath(path string) string { return pathParameter.ReplaceAllString(path, ":$1") }

func newValidator(document *openapi3.T, authenticate openapi3filter.AuthenticationFunc) *validator {
	v := &validator{operations: make(map[route]*routers.Route)}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			v.operations[route{method, echoPath(path)}] = &routers.Route{
				Spec: document, Path: path, PathItem: item, Method: method, Operation: operation,
			}
		}
	}
	v.options = openapi3filter.Options{
		MultiError:         true,
		KeepValidatedValue: true, // the operation gets the validated values, not values parsed again
		AuthenticationFunc: authenticate,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
				"email": openapi3.NewCallbackValidator(func(text string) error {
					_, err := auth.NormalizeEmail(text)
					return err
				}),
			}),
		},
	}
	return v
}

// checkRoutes returns an error unless every operation of the document has a route, and every other
// route is one of pages. A route that is neither would be served without validation and
// authentication.
func (v *validator) checkRoutes(routes []*echo.Route, pages map[route]bool) error {
	served := make(map[route]bool)
	var errs []error
	for _, r := range routes {
		key := route{r.Method, r.Path}
		served[key] = true
		if v.operations[key] == nil && !pages[key] {
			errs = append(errs, fmt.Errorf("the route %s %s is neither an operation of the OpenAPI document nor a page",
				r.Method, r.Path))
		}
	}
	for key, operation := range v.operations {
		if !served[key] {
			errs = append(errs, fmt.Errorf("the operation %s (%s %s) has no route",
				operation.Operation.OperationID, key.method, key.path))
		}
	}
	return errors.Join(errs...)
}

// operation returns the operation of a route, or nil. HEAD is the operation of GET (RFC 9110, section
// 9.3.2).
func (v *validator) operation(method, path string) *routers.Route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return v.operations[route{method, path}]
}

func (v *validator) isOperation(method, path string) bool { return v.operation(method, path) != nil }

// operationID returns the operationId of a route, or otherOperation if it is not an operation.
func (v *validator) operationID(method, path string) string {
	if operation := v.operation(method, path); operation != nil {
		return operation.Operation.OperationID
	}
	return otherOperation
}

// validate is a middleware that lets valid requests through. Requests for pages, which take no
// input, pass.
func (v *validator) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		operation := v.operation(r.Method, c.Path())
		if operation == nil {
			return next(c)
		}
		var body []byte
		if operation.Operation.RequestBody != nil {
			var err error
			if body, err = readBody(r); err != nil {
				return err
			}
		} else {
			r.Body = http.NoBody // the validator would read it all, and fail if it is too large
		}
		err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, Route: operation, PathParams: pathParams(c), Options: &v.options,
		})
		if security, ok := errors.AsType[*openapi3filter.SecurityRequirementsError](err); ok {
			return errors.Join(security.Errors...) // an unauthenticated caller learns nothing else
		}
		invalid := &invalidRequestError{}
		invalid.addValidation(err)
		invalid.addUnequal(operation.Operation, body)
		invalid.addDuplicates(operation.Operation, r.URL.Query())
		if len(invalid.errors) > 0 {
			return invalid
		}
		return next(c)
	}
}

// pathParams returns the parameters in the path as the operation will get them: unescaped, although
// Echo matched the escaped path.
func pathParams(c echo.Context) map[string]string {
	params := make(map[string]string)
	for _, name := range c.ParamNames() {
		value, err := url.PathUnescape(c.Param(name))
		if err != nil { // net/http rejects such a path
			value = c.Param(name)
		}
		params[name] = value
	}
	return params
}
