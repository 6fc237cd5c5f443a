package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"testing"

	"github.com/sesame-auth/sesame/internal/password"
)

func pack(t *testing.T, name, content string) (archive []byte, integrity string) {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(packed.Bytes())
	return packed.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestList(t *testing.T) {
	archive, integrity := pack(t, "list.json",
		`["second ONE", "short", "first one", "Second One", "1234567", "abc", "ｆｕｌｌｗｉｄｔｈ"]`)
	got, err := list(archive, source{integrity, "list.json"})
	if want := "first one\nfullwidth\n1234567\nsecond one\nshort\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFilter(t *testing.T) {
	archive, integrity := pack(t, "list.txt", "Chester Dog\nshort\r\nch3ster d0g\nｌｅｎｇｔｈｅｎｅｄ\r\n")
	got, err := filter(archive, source{integrity, "list.txt"})
	// "ch3ster d0g" has the same fingerprint as "chester dog".
	want, err2 := password.EncodeFilter([]string{
		password.Fingerprint("lengthened"), password.Fingerprint("chester dog"),
	})
	if err != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v, want %x, %v", got, err, want, err2)
	}
}

func TestWrongPackages(t *testing.T) {
	archive, integrity := pack(t, "list.json", `["password"]`)
	for name, from := range map[string]source{
		"another package": {commonSource.integrity, "list.json"},
		"no such file":    {integrity, "list.txt"},
	} {
		for _, generate := range []func([]byte, source) ([]byte, error){list, filter} {
			if got, err := generate(archive, from); err == nil {
				t.Errorf("%s: got %q", name, got)
			}
		}
	}
}
