package token

import "strings"

// KeyOf is the kid in a token's header.
func KeyOf(text string) (string, error) {
	var head header
	err := decode(strings.SplitN(text, ".", 2)[0], &head)
	return head.Kid, err
}
