package httpapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
)

// loadDocument parses the OpenAPI document.
func loadDocument() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIJSON)
	if err != nil {
		return nil, fmt.Errorf("load the OpenAPI document: %w", err)
	}
	return document, nil
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
		KeepValidatedValue: true, // the operation gets what was validated, not a second reading of it
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

// checkRoutes returns an error unless every operation of the document has a route, and every other route is one
// of pages. A route that is neither would be served without validation and authentication.
func (v *validator) checkRoutes(routes []*echo.Route, pages map[route]bool) error {
	served := make(map[route]bool)
	var errs []error
	for _, r := range routes {
		key := route{r.Method, r.Path}
		served[key] = true
		if v.operations[key] == nil && !pages[key] {
			errs = append(errs, fmt.Errorf("the route %s %s is neither an operation of the OpenAPI document nor a page", r.Method, r.Path))
		}
	}
	for key, operation := range v.operations {
		if !served[key] {
			errs = append(errs, fmt.Errorf("the operation %s (%s %s) has no route", operation.Operation.OperationID, key.method, key.path))
		}
	}
	return errors.Join(errs...)
}

func (v *validator) isOperation(method, path string) bool {
	return v.operations[route{method, path}] != nil
}

// operationID returns the operationId of a route, or otherOperation if it is not an operation.
func (v *validator) operationID(method, path string) string {
	if operation := v.operations[route{method, path}]; operation != nil {
		return operation.Operation.OperationID
	}
	return otherOperation
}

// validate is a middleware that lets valid requests through. Requests for pages, which take no input, pass.
func (v *validator) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		operation := v.operations[route{r.Method, c.Path()}]
		if operation == nil {
			return next(c)
		}
		var body []byte
		if operation.Operation.RequestBody != nil {
			var err error
			if body, err = readBody(r); err != nil {
				return err
			}
		}
		input := &openapi3filter.RequestValidationInput{Request: r, Route: operation, PathParams: pathParams(c), Options: &v.options}
		err := openapi3filter.ValidateRequest(r.Context(), input)
		var security *openapi3filter.SecurityRequirementsError
		if errors.As(err, &security) { // an unauthenticated caller learns nothing else
			return errors.Join(security.Errors...)
		}
		faults := append(faultsOf(err), unequal(operation.Operation, body)...)
		faults = append(faults, repeated(operation.Operation, r.URL.Query())...)
		if len(faults) > 0 {
			return &invalidRequestError{faults: faults}
		}
		return next(c)
	}
}

// pathParams returns the parameters in the path as the operation will get them: unescaped, although Echo matched the
// escaped path.
func pathParams(c echo.Context) map[string]string {
	params := make(map[string]string)
	for _, name := range c.ParamNames() {
		value, err := url.PathUnescape(c.Param(name))
		if err != nil { // net/http has refused such a path
			value = c.Param(name)
		}
		params[name] = value
	}
	return params
}

// invalidRequestError is a request that the contract does not allow.
type invalidRequestError struct{ faults []api.Fault }

func (e *invalidRequestError) Error() string {
	return fmt.Sprintf("request does not match the contract (%d faults)", len(e.faults))
}

func fault(pointer, parameter *string, message string) api.Fault {
	return api.Fault{Pointer: pointer, Parameter: parameter, Message: message}
}

// faultsOf tells every fault of a request in our own words. The validator's own would quote what was
// submitted, a password included.
func faultsOf(err error) []api.Fault {
	if err == nil {
		return nil
	}
	var several openapi3.MultiError
	if errors.As(err, &several) && !isRequestError(err) {
		var faults []api.Fault
		for _, one := range several {
			faults = append(faults, faultsOf(one)...)
		}
		return faults
	}
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return []api.Fault{fault(new(string), nil, "is not valid")}
	}
	if request.Parameter != nil {
		return parameterFaults(request)
	}
	if errors.Is(request.Err, openapi3filter.ErrInvalidRequired) {
		return []api.Fault{fault(new(string), nil, "is required")}
	}
	return bodyFaults(request.Err)
}

func isRequestError(err error) bool {
	_, is := err.(*openapi3filter.RequestError) //nolint:errorlint // the outermost one decides
	return is
}

func parameterFaults(request *openapi3filter.RequestError) []api.Fault {
	name, message := request.Parameter.Name, "is not valid"
	var schema *openapi3.SchemaError
	switch {
	case errors.Is(request.Err, openapi3filter.ErrInvalidRequired), errors.Is(request.Err, openapi3filter.ErrInvalidEmptyValue):
		message = "is required"
	case errors.As(request.Err, &schema):
		message = inWords(schema)
	}
	return []api.Fault{fault(nil, &name, message)}
}

func bodyFaults(err error) []api.Fault {
	var several openapi3.MultiError
	if errors.As(err, &several) {
		var faults []api.Fault
		for _, one := range several {
			faults = append(faults, bodyFaults(one)...)
		}
		return faults
	}
	pointer, message := "", "is not valid"
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) {
		for _, name := range schema.JSONPointer() {
			pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		}
		message = inWords(schema)
	}
	return []api.Fault{fault(&pointer, nil, message)}
}

// inWords says what must hold, from the contract alone.
func inWords(err *openapi3.SchemaError) string {
	schema := err.Schema
	switch err.SchemaField {
	case "required":
		return "is required"
	case "nullable":
		return "must not be null"
	case "type":
		return fmt.Sprintf("must be %s", withArticle(schema.Type.Slice()))
	case "format":
		if schema.Format == "email" {
			return "must be an email address"
		}
	case "minLength":
		if schema.MinLength == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", schema.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *schema.MaxLength)
	}
	return "is not valid"
}

func withArticle(types []string) string {
	words := strings.Join(types, " or ")
	if words != "" && slices.Contains([]byte("aeiou"), words[0]) {
		return "an " + words
	}
	return "a " + words
}

// unequal is the faults of properties that the contract marks x-equal-to another one.
func unequal(operation *openapi3.Operation, body []byte) []api.Fault {
	if operation.RequestBody == nil {
		return nil
	}
	var faults []api.Fault
	for name, property := range operation.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
		other, marked := property.Value.Extensions["x-equal-to"].(string)
		if !marked {
			continue
		}
		var members map[string]any
		if json.Unmarshal(body, &members) != nil {
			continue // not an object, which the contract has said already
		}
		this, isText := members[name].(string)
		if that, alsoText := members[other].(string); isText && alsoText && this != that {
			pointer := "/" + name
			faults = append(faults, fault(&pointer, nil, "must equal "+other))
		}
	}
	return faults
}

// repeated is the faults of parameters that were given more than once: which one counts is nothing two
// readers agree about.
func repeated(operation *openapi3.Operation, query url.Values) []api.Fault {
	var faults []api.Fault
	for _, parameter := range operation.Parameters {
		if name := parameter.Value.Name; parameter.Value.In == openapi3.ParameterInQuery && len(query[name]) > 1 {
			faults = append(faults, fault(nil, &name, "must be given once"))
		}
	}
	return faults
}
