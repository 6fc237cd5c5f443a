package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// response is a response with its body.
type response struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// text returns a string in the body, or an empty one. The names are its path.
func (r response) text(names ...string) string {
	var value any = r.body
	for _, name := range names {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	text, _ := value.(string)
	return text
}

// texts returns the strings in an array in the body.
func (r response) texts(name string) (texts []string) {
	list, _ := r.body[name].([]any)
	for _, entry := range list {
		text, _ := entry.(string)
		texts = append(texts, text)
	}
	return texts
}

// places returns the sorted pointers and parameters of a problem's validation errors.
func (r response) places() []string {
	var places []string
	list, _ := r.body["errors"].([]any)
	for _, entry := range list {
		validationError, _ := entry.(map[string]any)
		place, ok := validationError["pointer"].(string)
		if !ok {
			place, _ = validationError["parameter"].(string)
		}
		places = append(places, place)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// secretMembers are the members of a response that contain secrets.
var secretMembers = []string{"accessToken", "refreshToken", "loginToken", "secret", "uri", "recoveryCodes"}

// redacted returns the response as text without secrets, so that it can be logged.
func (r response) redacted() string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%d %s\n", r.status, http.StatusText(r.status))
	_ = r.header.Write(&text) // a Buffer returns no errors
	text.WriteString("\n")
	if r.body == nil {
		fmt.Fprintf(&text, "%.1000q", r.raw)
	} else {
		shown := make(map[string]any)
		for name, value := range r.body {
			shown[name] = value
			if slices.Contains(secretMembers, name) {
				shown[name] = fmt.Sprintf("(%d characters)", len(fmt.Sprint(value)))
			}
		}
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(shown) // cannot fail: it was decoded from JSON
	}
	return strings.ReplaceAll(text.String(), "\r\n", "\n")
}
