package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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

// validator holds requests against the contract.
type validator struct {
	authority *auth.Authority
	routes    map[string]*routers.Route // by method and path; the router has matched them already
	options   openapi3filter.Options
}

func newValidator(authority *auth.Authority) (*validator, error) {
	contract, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIJSON)
	if err != nil {
		return nil, fmt.Errorf("load contract: %w", err)
	}
	v := &validator{authority: authority, routes: make(map[string]*routers.Route)}
	for path, item := range contract.Paths.Map() {
		for method, operation := range item.Operations() {
			v.routes[method+path] = &routers.Route{Spec: contract, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	v.options = openapi3filter.Options{
		MultiError:         true,
		KeepValidatedValue: true, // the operation gets what was validated, not a second reading of it
		AuthenticationFunc: v.authenticate,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
				"email": openapi3.NewCallbackValidator(func(text string) error {
					_, err := auth.NormalizeAddress(text)
					return err
				}),
			}),
		},
	}
	return v, nil
}

func (v *validator) isOperation(method, path string) bool {
	_, is := v.routes[method+path]
	return is
}

// operationOf is the operationId of what is at a route, otherOperation if the contract does not have it.
func (v *validator) operationOf(method, path string) string {
	if route, is := v.routes[method+path]; is {
		return route.Operation.OperationID
	}
	return otherOperation
}

// middleware lets through what the contract allows. What is not an operation of the contract passes; the
// routes beside it take no input.
func (v *validator) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		route, found := v.routes[r.Method+c.Path()]
		if !found {
			return next(c)
		}
		var body []byte
		if route.Operation.RequestBody != nil {
			var err error
			if body, err = readBody(r); err != nil {
				return err
			}
		}
		input := &openapi3filter.RequestValidationInput{Request: r, Route: route, Options: &v.options}
		err := openapi3filter.ValidateRequest(r.Context(), input)
		var security *openapi3filter.SecurityRequirementsError
		if errors.As(err, &security) { // who is not let in is not told about the rest
			return errors.Join(security.Errors...)
		}
		faults := append(faultsOf(err), unequal(route.Operation, body)...)
		faults = append(faults, repeated(route.Operation, r.URL.Query())...)
		if len(faults) > 0 {
			return &invalidRequestError{faults: faults}
		}
		return next(c)
	}
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

// authenticate is the contract's BearerAuth (RFC 6750, section 2.1): one token, in the header only.
func (v *validator) authenticate(ctx context.Context, input *openapi3filter.AuthenticationInput) error {
	headers := input.RequestValidationInput.Request.Header.Values("Authorization")
	if len(headers) == 0 {
		return errNoToken
	}
	scheme, accessToken, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.ErrInvalidAccess
	}
	user, err := v.authority.Authenticate(ctx, strings.Trim(accessToken, " "))
	if err != nil {
		return err
	}
	stateOf(ctx).bearer = user
	return nil
}
