package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"testing"
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

func TestGenerate(t *testing.T) {
	archive, itsIntegrity := pack(t, dictionary, `["second ONE","short","first one","Second One","1234567","abc","ｆｕｌｌｗｉｄｔｈ"]`)
	list, err := generate(archive, itsIntegrity)
	if want := "first one\nfullwidth\n1234567\nsecond one\nshort\n"; err != nil || string(list) != want {
		t.Errorf("%q, %v", list, err)
	}
	if list, err := generate(archive, integrity); err == nil {
		t.Errorf("another package made %q", list)
	}
	archive, itsIntegrity = pack(t, "package/README.md", "nothing")
	if list, err := generate(archive, itsIntegrity); err == nil {
		t.Errorf("a package without a dictionary made %q", list)
	}
}
