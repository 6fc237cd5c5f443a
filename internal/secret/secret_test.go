package secret_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/secret"
)

func TestParse(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if got, err := secret.Parse(" " + encoding.EncodeToString(raw) + "\n"); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%x, %v", got, err)
		}
	}
	for _, text := range []string{"", "canary not base64", base64.StdEncoding.EncodeToString(raw[:31])} {
		if _, err := secret.Parse(text); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Keys with different labels are independent; the same label always gives the same key.
func TestDerive(t *testing.T) {
	s := secret.Secret(bytes.Repeat([]byte{7}, 32))
	one, other := s.Derive("a v1"), s.Derive("b v1")
	if len(one) != 32 || bytes.Equal(one, other) || !bytes.Equal(one, s.Derive("a v1")) {
		t.Errorf("%x and %x", one, other)
	}
}
