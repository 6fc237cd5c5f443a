package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// canaries are the secrets that went over the wire. None may be at rest anywhere.
type canaries struct {
	mu      sync.Mutex
	secrets map[string]bool
	dumped  string
}

// secretFields are the members of bodies that hold secrets.
var secretFields = []string{"password", "confirm", "accessToken", "refreshToken"}

func (c *canaries) add(secret string) {
	if len(secret) < 8 { // shorter ones occur in ids and times by chance
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secrets == nil {
		c.secrets = make(map[string]bool)
	}
	c.secrets[secret] = true
}

func (c *canaries) addBody(body []byte) {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for _, field := range secretFields {
		if secret, ok := members[field].(string); ok {
			c.add(secret)
		}
	}
}

// watch collects the secrets of requests and answers.
func (c *canaries) watch(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		c.add(request.URL.Query().Get("token"))
		if request.GetBody != nil {
			if body, err := request.GetBody(); err == nil {
				content, err := io.ReadAll(body)
				if err != nil {
					return nil, err
				}
				c.addBody(content)
			}
		}
		response, err := next.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		if response.StatusCode >= http.StatusBadRequest {
			c.refuseEcho(body)
		}
		c.addBody(body)
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refuseEcho notes an error's body, to be searched like the log.
func (c *canaries) refuseEcho(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dumped += string(body)
}

// dump reads every row of every table as text, and the SQLite file as bytes.
func (c *canaries) dump(t testing.TB, s *Server) {
	t.Helper()
	var dump strings.Builder
	db := s.DB.WithContext(context.Background()) // the test's context has ended
	if s.DB.Ping(context.Background()) != nil {
		return // the test has closed the database, after a dump
	}
	for _, table := range databasetest.Tables(t, s.DB) {
		var rows []map[string]any
		if err := db.Table(table).Find(&rows).Error; err != nil {
			t.Errorf("dump %s: %v", table, err)
		}
		for _, row := range rows {
			for column, value := range row {
				if text, ok := value.([]byte); ok {
					value = string(text)
				}
				fmt.Fprintf(&dump, "%s.%s=%v\n", table, column, value)
			}
		}
	}
	var files []string
	if err := db.Raw("SELECT file FROM pragma_database_list WHERE file <> ''").Scan(&files).Error; err == nil {
		for _, file := range files {
			parts, err := filepath.Glob(file + "*") // the write-ahead log beside it
			if err != nil {
				t.Error(err)
			}
			for _, part := range parts {
				content, err := os.ReadFile(part)
				if err != nil {
					t.Error(err)
				}
				dump.Write(content)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dumped += dump.String()
}

func (c *canaries) check(t testing.TB, s *Server) {
	t.Helper()
	c.dump(t, s)
	metrics, log := s.Metrics(t), s.Log.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	for secret := range c.secrets {
		if strings.Contains(c.dumped, secret) {
			t.Errorf("a secret of the test stands in the database or in an error's body: %q", secret)
		}
		if strings.Contains(metrics, secret) {
			t.Errorf("a secret of the test stands in the metrics: %q", secret)
		}
		if strings.Contains(log, secret) {
			t.Errorf("a secret of the test stands in the log: %q", secret)
		}
	}
}
