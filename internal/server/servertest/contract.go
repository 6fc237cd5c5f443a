package servertest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/conformance"
)

// Contract is the OpenAPI document. It records which responses have been seen.
type Contract struct {
	*conformance.Contract

	mu   sync.Mutex
	seen map[string]bool // "engine operationId status"
}

// Load loads the OpenAPI document.
func Load() (*Contract, error) {
	contract, err := conformance.Load()
	return &Contract{Contract: contract, seen: make(map[string]bool)}, err
}

// Transport returns an http.RoundTripper that checks every response against the OpenAPI document,
// reports errors to t, and records the responses for engine.
func (c *Contract) Transport(t testing.TB, engine string) http.RoundTripper {
	t.Helper()
	return c.transportOver(t, engine, overTCP())
}

func overTCP() http.RoundTripper { return &http.Transport{MaxIdleConnsPerHost: 128} }

func (c *Contract) transportOver(t testing.TB, engine string, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	return &transport{contract: c, t: t, engine: engine, base: base}
}

// Unseen returns the documented responses that no Transport has recorded for engine, each as
// "operationId status".
func (c *Contract) Unseen(engine string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var unseen []string
	for _, operation := range c.Operations() {
		for _, status := range operation.Statuses {
			if name := fmt.Sprintf("%s %d", operation.ID, status); !c.seen[engine+" "+name] {
				unseen = append(unseen, name)
			}
		}
	}
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
	if err := tr.contract.Check(request.URL.Path, response, body); err != nil {
		tr.t.Errorf("%s %s: the response %d differs from the OpenAPI document: %v\n%s",
			request.Method, request.URL.Path, response.StatusCode, err, body)
	}
	if operation := tr.contract.OperationAt(request.Method, request.URL.Path); operation != "" {
		tr.contract.mu.Lock()
		tr.contract.seen[fmt.Sprintf("%s %s %d", tr.engine, operation, response.StatusCode)] = true
		tr.contract.mu.Unlock()
	}
	return response, nil
}
