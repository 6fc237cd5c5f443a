package token

import (
	"strings"

	"github.com/go-json-experiment/json"
)

// KeyOf is the kid in a token's header.
func KeyOf(text string) (string, error) {
	raw, err := base64url.DecodeString(strings.SplitN(text, ".", 2)[0])
	if err != nil {
		return "", err
	}
	var head header
	err = json.Unmarshal(raw, &head)
	return head.Kid, err
}
