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
	"github.com/sesame-auth/sesame/internal/totp"
)

// canaries are the secrets that were sent over the network. None of them may appear in the
// database, the log, the metrics, the traces or the body of an error.
type canaries struct {
	mu      sync.Mutex
	secrets map[string]bool
	dumped  strings.Builder // the content of the database, and the bodies of errors
}

// shortest is the length of the shortest secret that is looked for: shorter ones can occur in ids
// and times by chance.
const shortest = 8

// secretFields are the fields of bodies that contain secrets.
var secretFields = []string{
	"password", "currentPassword", "confirm", "token", "accessToken", "refreshToken", "loginToken", "code", "secret",
}

func (c *canaries) add(secret string) {
	if len(secret) < shortest {
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
	if _, isProblem := members["instance"]; isProblem { // it has a code, too
		members = map[string]any{"loginToken": members["loginToken"]}
	}
	for _, field := range secretFields {
		if secret, ok := members[field].(string); ok {
			c.add(secret)
		}
	}
	if secret, ok := members["secret"].(string); ok { // of an authenticator app, in base32
		if raw, err := totp.ParseSecret(secret); err == nil {
			c.add(string(raw))
		}
	}
	codes, _ := members["recoveryCodes"].([]any)
	for _, code := range codes {
		c.add(fmt.Sprint(code))
		c.add(strings.ReplaceAll(fmt.Sprint(code), "-", ""))
	}
}

// watch collects the secrets in requests and responses.
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
			c.addError(body)
		}
		c.addBody(body)
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// addError records the body of an error. An error must not repeat a secret of its request. It may
// contain a login token, which is new.
func (c *canaries) addError(body []byte) {
	var members map[string]any
	if json.Unmarshal(body, &members) == nil && members["loginToken"] != nil {
		delete(members, "loginToken")
		body = fmt.Append(nil, members)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dumped.Write(body)
}

// dump records every row of every table, and the files of a SQLite database.
func (c *canaries) dump(t testing.TB, s *Server) {
	t.Helper()
	var dump strings.Builder
	db := s.DB.WithContext(context.Background()) // the context of t is done
	if s.DB.Ping(context.Background()) != nil {
		return // CloseDatabase has dumped it
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
			parts, err := filepath.Glob(file + "*") // including the write-ahead log
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
	c.dumped.WriteString(dump.String())
}

// check requires that no secret appears where it must not.
func (c *canaries) check(t testing.TB, s *Server) {
	t.Helper()
	c.dump(t, s)
	metrics, log, traces := s.Metrics(t), s.Log.String(), ""
	if s.Collector != nil {
		traces = s.Collector.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	find := c.finder()
	for place, text := range map[string]string{
		"the database or the body of an error": c.dumped.String(),
		"the metrics":                          metrics,
		"the log":                              log,
		"the traces":                           traces,
	} {
		for _, secret := range find(text) {
			t.Errorf("the secret %q is in %s", secret, place)
		}
	}
}

// finder returns a function that returns the secrets in a text. It reads the text once, whatever the
// number of secrets: a database has megabytes, and a test thousands of secrets.
func (c *canaries) finder() func(text string) (found []string) {
	var begins [1 << 16]bool // the first two bytes of the secrets
	beginning := func(text string) int { return int(text[0])<<8 | int(text[1]) }
	secrets := make(map[string][]string) // by their first bytes
	for secret := range c.secrets {
		begins[beginning(secret)] = true
		secrets[secret[:shortest]] = append(secrets[secret[:shortest]], secret)
	}
	return func(text string) (found []string) {
		for ; len(text) >= shortest; text = text[1:] {
			if !begins[beginning(text)] {
				continue
			}
			for _, secret := range secrets[text[:shortest]] {
				if strings.HasPrefix(text, secret) {
					found = append(found, secret)
				}
			}
		}
		return found
	}
}
