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

// Contract is the contract, and what was seen of it.
type Contract struct {
	*conformance.Contract

	mu   sync.Mutex
	seen map[string]bool // "engine operationId status"
}

// Load reads the contract.
func Load() (*Contract, error) {
	contract, err := conformance.Load()
	return &Contract{Contract: contract, seen: make(map[string]bool)}, err
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
		tr.t.Errorf("%s %s answered %d, against the contract: %v\n%s", request.Method, request.URL.Path, response.StatusCode, err, body)
	}
	if operation := tr.contract.OperationAt(request.Method, request.URL.Path); operation != "" {
		tr.contract.mu.Lock()
		tr.contract.seen[fmt.Sprintf("%s %s %d", tr.engine, operation, response.StatusCode)] = true
		tr.contract.mu.Unlock()
	}
	return response, nil
}
