package token_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
)

// A text that Decode accepts is exactly what Encode makes of the result.
func FuzzRefreshDecode(f *testing.F) {
	codec := token.NewRefreshCodec([]secret.Secret{current})
	session := uuid.MustParse("01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77")
	genuine := codec.Encode(token.Refresh{Session: session, Counter: 4660})
	for _, seed := range []string{genuine, genuine[:75], genuine + "=", "\n" + genuine[:75], ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if decoded, err := codec.Decode(text); err == nil && codec.Encode(decoded) != text {
			t.Errorf("%q is decoded as %+v, which is encoded as %q", text, decoded, codec.Encode(decoded))
		}
	})
}
