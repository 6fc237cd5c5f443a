package token_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
)

// What is read as a refresh token is the one spelling of what it says.
func FuzzRefreshDecode(f *testing.F) {
	codec := token.NewRefreshCodec([]secret.Secret{current})
	genuine := codec.Encode(token.Refresh{Session: uuid.MustParse("01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"), Counter: 4660})
	for _, seed := range []string{genuine, genuine[:75], genuine + "=", "\n" + genuine[:75], ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if said, err := codec.Decode(text); err == nil && codec.Encode(said) != text {
			t.Errorf("%q is read as %+v, which is spelt %q", text, said, codec.Encode(said))
		}
	})
}
