package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	sesame "github.com/sesame-auth/sesame"
)

// Contract is the OpenAPI document in a strict form, which allows only documented fields and codes.
// The document itself allows others too, so that clients expect additions.
type Contract struct {
	document *openapi3.T
	routes   map[string]*routers.Route // by method and path
}

// Operation is an operation of the OpenAPI document.
type Operation struct {
	ID, Method, Path string
	HasBody          bool
	AllOptional      bool  // an empty object may be a valid body
	Secured          bool  // it needs an access token
	Statuses         []int // documented, in order
}

// Load returns the document. It is shared and must not be changed.
var Load = sync.OnceValues(load)

func load() (*Contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIJSON)
	if err != nil {
		return nil, fmt.Errorf("load the OpenAPI document: %w", err)
	}
	for _, schema := range document.Components.Schemas {
		closeSchema(schema.Value)
		for _, property := range schema.Value.Properties {
			closeSchema(property.Value)
		}
	}
	c := &Contract{document: document, routes: make(map[string]*routers.Route)}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			c.routes[method+path] = &routers.Route{
				Spec: document, Path: path, PathItem: item, Method: method, Operation: operation,
			}
		}
	}
	return c, nil
}

// closeSchema allows only the documented properties and values.
func closeSchema(schema *openapi3.Schema) {
	if schema.Type.Is("object") {
		closed := false
		schema.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
	}
	if known, ok := schema.Extensions["x-extensible-enum"].([]any); ok {
		schema.Enum = known
	}
}

// Operations returns the operations, sorted by path and method.
func (c *Contract) Operations() []Operation {
	var operations []Operation
	for _, route := range c.routes {
		operation := Operation{
			ID:      route.Operation.OperationID,
			Method:  route.Method,
			Path:    route.Path,
			HasBody: route.Operation.RequestBody != nil,
			AllOptional: route.Operation.RequestBody != nil &&
				len(route.Operation.RequestBody.Value.Content.Get("application/json").Schema.Value.Required) == 0,
			Secured: route.Operation.Security != nil && len(*route.Operation.Security) > 0,
		}
		for status := range route.Operation.Responses.Map() {
			number, err := strconv.Atoi(status)
			if err != nil {
				panic(err) // the linter of the OpenAPI document allows only numbers
			}
			operation.Statuses = append(operation.Statuses, number)
		}
		slices.Sort(operation.Statuses)
		operations = append(operations, operation)
	}
	slices.SortFunc(operations, func(a, b Operation) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return operations
}

// ProblemCodes returns the known codes of problems.
func (c *Contract) ProblemCodes() []string {
	var codes []string
	for _, code := range c.document.Components.Schemas["ProblemCode"].Value.Enum { // see closeSchema
		codes = append(codes, fmt.Sprint(code))
	}
	return codes
}

// examplePath returns a path of the operation. Its parameters are UUIDs of nothing.
func (o Operation) examplePath() string {
	segments := strings.Split(o.Path, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i] = "00000000-0000-4000-8000-000000000000"
		}
	}
	return strings.Join(segments, "/")
}

// routeAt returns the operation of a method and path. A documented path may have parameters, such as
// /sessions/{id}.
func (c *Contract) routeAt(method, path string) (*routers.Route, bool) {
	if route, ok := c.routes[method+path]; ok {
		return route, true
	}
	segments := strings.Split(path, "/")
	for _, route := range c.routes {
		same := func(documented, segment string) bool {
			return documented == segment || strings.HasPrefix(documented, "{") && segment != ""
		}
		if route.Method == method && slices.EqualFunc(strings.Split(route.Path, "/"), segments, same) {
			return route, true
		}
	}
	return nil, false
}

// OperationAt returns the operationId of a method and path, or an empty string.
func (c *Contract) OperationAt(method, path string) string {
	if route, documented := c.routeAt(method, path); documented {
		return route.Operation.OperationID
	}
	return ""
}

// Check checks the response to a request for path. Its status must be documented, and its headers
// and body must match the schemas. On undocumented paths, errors must be problem documents. The
// error of Check has one line for each difference.
func (c *Contract) Check(path string, response *http.Response, body []byte) error {
	route, documented := c.routeAt(response.Request.Method, path)
	if !documented {
		return c.checkOther(response, body)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: response.Request, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	return shorten(openapi3filter.ValidateResponse(context.Background(), input.SetBodyBytes(body)))
}

// checkOther checks the response of an undocumented path.
func (c *Contract) checkOther(response *http.Response, body []byte) error {
	if response.StatusCode < 400 || response.Request.Method == http.MethodHead {
		return nil
	}
	if media := response.Header.Get("Content-Type"); media != "application/problem+json" {
		return fmt.Errorf("an error is %q, not application/problem+json", media)
	}
	decode := openapi3filter.RegisteredBodyDecoder("application/json")
	value, err := decode(bytes.NewReader(body), response.Header, nil, nil)
	if err != nil {
		return err
	}
	return shorten(c.document.Components.Schemas["Problem"].Value.VisitJSON(value, openapi3.MultiErrors()))
}

// shorten removes the schema and the value, which may be a token, from an error of the validator.
func shorten(err error) error {
	if err == nil {
		return nil
	}
	if several, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // wrapped ones are handled below
		var errs []error
		for _, one := range several {
			errs = append(errs, shorten(one))
		}
		return errors.Join(errs...)
	}
	if response, ok := errors.AsType[*openapi3filter.ResponseError](err); ok && response.Err != nil {
		return fmt.Errorf("%s: %w", response.Reason, shorten(response.Err))
	}
	if schema, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return fmt.Errorf("/%s: %s", strings.Join(schema.JSONPointer(), "/"), schema.Reason)
	}
	return err
}
