// Package contracttest holds every answer a test sees against the contract: its status, headers and body.
//
// The contract leaves objects open, so that a field can be added without breaking a client. Here they are
// closed, in memory, so that nothing undocumented slips out.
package contracttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	sesame "github.com/sesame-auth/sesame"
)

// Contract is openapi.yaml with every object closed.
type Contract struct {
	document *openapi3.T
	routes   map[string]*routers.Route // by method and path

	mu   sync.Mutex
	seen map[string]bool // "engine operationId status"
}

// Load reads the contract.
func Load() (*Contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("load contract: %w", err)
	}
	for _, schema := range document.Components.Schemas {
		if schema.Value.Type.Is("object") {
			closed := false
			schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
		}
	}
	c := &Contract{document: document, routes: make(map[string]*routers.Route), seen: make(map[string]bool)}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			c.routes[method+path] = &routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	return c, nil
}

// Transport is an http.RoundTripper that reports to t whatever the contract does not allow. engine is what
// the answers are counted under.
func (c *Contract) Transport(t testing.TB, engine string) http.RoundTripper {
	t.Helper()
	return &transport{contract: c, t: t, engine: engine, base: &http.Transport{MaxIdleConnsPerHost: 128}}
}

// Unseen lists the documented answers that no Transport has seen for engine: "operationId status".
func (c *Contract) Unseen(engine string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var unseen []string
	for _, route := range c.routes {
		for status := range route.Operation.Responses.Map() {
			if name := route.Operation.OperationID + " " + status; !c.seen[engine+" "+name] {
				unseen = append(unseen, name)
			}
		}
	}
	slices.Sort(unseen)
	return unseen
}

type transport struct {
	contract *Contract
	t        testing.TB
	engine   string
	base     http.RoundTripper
}

func (tr *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := tr.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := tr.contract.check(request, response, body, tr.engine); err != nil {
		tr.t.Errorf("%s %s answered %d, against the contract: %v\n%s", request.Method, request.URL.Path, response.StatusCode, err, body)
	}
	return response, nil
}

func (c *Contract) check(request *http.Request, response *http.Response, body []byte, engine string) error {
	route, documented := c.routes[request.Method+request.URL.Path]
	if !documented {
		return c.checkBeside(response, body, request.Method)
	}
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %s %d", engine, route.Operation.OperationID, response.StatusCode)] = true
	c.mu.Unlock()
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	return openapi3filter.ValidateResponse(context.Background(), input.SetBodyBytes(body))
}

// checkBeside is for what is no operation of the contract: an error there is a problem document too.
func (c *Contract) checkBeside(response *http.Response, body []byte, method string) error {
	if response.StatusCode < 400 || method == http.MethodHead {
		return nil
	}
	if media := response.Header.Get("Content-Type"); media != "application/problem+json" {
		return fmt.Errorf("an error is %q, not application/problem+json", media)
	}
	value, err := openapi3filter.RegisteredBodyDecoder("application/json")(bytes.NewReader(body), response.Header, nil, nil)
	if err != nil {
		return err
	}
	return c.document.Components.Schemas["Problem"].Value.VisitJSON(value)
}

// Operations lists the operations of the contract as "METHOD path", for tests that walk all of them.
func (c *Contract) Operations() []string {
	var operations []string
	for _, route := range c.routes {
		operations = append(operations, route.Method+" "+route.Path)
	}
	slices.Sort(operations)
	return operations
}

// ProblemCodes lists the codes a problem may have.
func (c *Contract) ProblemCodes() []string {
	var codes []string
	for _, code := range c.document.Components.Schemas["ProblemCode"].Value.Enum {
		codes = append(codes, fmt.Sprint(code))
	}
	return codes
}
