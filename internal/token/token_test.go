package token_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var (
	current = secret.Secret(bytes.Repeat([]byte{7}, 32))
	another = secret.Secret(bytes.Repeat([]byte{8}, 32))
)

// Every later version must be able to decode a token that was issued once.
func TestRefreshTokenGolden(t *testing.T) {
	content := token.Refresh{Session: uuid.MustParse("01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"), Counter: 4660}
	const golden = "AQGYCl5sG38AjRo_PFqdHncAAAAAAAASNADtxMdPIv64PKylQ0Go9IpWAEImHKvqKNxYTM1exeki"
	codec := token.NewRefreshCodec([]secret.Secret{current})
	if got := codec.Encode(content); got != golden {
		t.Errorf("encoded %s", got)
	}
	if got, err := codec.Decode(golden); err != nil || got != content {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if _, err := token.NewRefreshCodec([]secret.Secret{another}).Decode(golden); !errors.Is(err, token.ErrRefresh) {
		t.Errorf("under another secret: %v", err)
	}
}

// While the secret is rotated, tokens of both secrets are decoded. New ones are encoded under the
// first.
func TestRefreshTokensOfAPreviousSecret(t *testing.T) {
	content := token.Refresh{Session: uuid.New(), Counter: 1}
	before := token.NewRefreshCodec([]secret.Secret{current})
	during := token.NewRefreshCodec([]secret.Secret{another, current})
	after := token.NewRefreshCodec([]secret.Secret{another})
	if got, err := during.Decode(before.Encode(content)); err != nil || got != content {
		t.Errorf("a token of the previous secret: %+v, %v", got, err)
	}
	if during.Encode(content) != after.Encode(content) {
		t.Error("a new token was not encoded under the new secret")
	}
	if _, err := after.Decode(before.Encode(content)); !errors.Is(err, token.ErrRefresh) {
		t.Errorf("after the rotation: %v", err)
	}
}

// A token has only one encoding: any change, deletion or insertion of a character is refused.
func TestRefreshTokenIsCanonical(t *testing.T) {
	codec := token.NewRefreshCodec([]secret.Secret{current})
	genuine := codec.Encode(token.Refresh{Session: uuid.New(), Counter: 1})
	refuse := func(text string) {
		t.Helper()
		if _, err := codec.Decode(text); !errors.Is(err, token.ErrRefresh) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for at := range len(genuine) {
		for _, other := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/\n " {
			if changed := genuine[:at] + string(other) + genuine[at+1:]; changed != genuine {
				refuse(changed)
			}
		}
		refuse(genuine[:at])
		refuse(genuine[:at] + "\n" + genuine[at:])
		refuse(genuine[:at] + "\n" + genuine[at+1:])
	}
	for _, lines := range []int{1, 4, 60, len(genuine)} { // the decoder ignores line breaks
		refuse(genuine[:len(genuine)-lines] + strings.Repeat("\n", lines))
	}
	for _, more := range []string{"A", "=", "\n", ".", genuine} {
		refuse(genuine + more)
	}
	if _, err := codec.Decode(genuine); err != nil {
		t.Error(err)
	}
}

func TestOneTimeTokens(t *testing.T) {
	one, digest := token.NewOneTime()
	other, _ := token.NewOneTime()
	sum := sha256.Sum256([]byte(one))
	if raw, err := base64.RawURLEncoding.DecodeString(one); err != nil || len(raw) != 32 || one == other {
		t.Errorf("%q and %q", one, other)
	}
	if !bytes.Equal(digest, sum[:]) || !bytes.Equal(digest, token.OneTimeDigest(one)) {
		t.Error("the digest is not the token's SHA-256")
	}
}
