package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
)

// discard is a response whose body is not stored.
type discard struct {
	header http.Header
	length int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(int) {}

func (d *discard) Write(body []byte) (int, error) {
	d.length += len(body)
	return len(body), nil
}

// Assets are sent from memory: after the first request, none compresses, decompresses or copies one,
// or an attacker could keep the processors busy with small requests. HEAD returns the headers of
// GET.
func TestAssetsAreSentFromMemory(t *testing.T) {
	site, err := New(Config{Brand: sesame})
	if err != nil {
		t.Fatal(err)
	}
	const requests, limit = 100, 4096 // bytes of memory for one request; gzip needs ten times as much
	for name, asset := range site.assets {
		for _, encoding := range []string{"", "gzip"} {
			lengths := make(map[string]string)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				request := httptest.NewRequest(method, "http://h/"+asset.path, nil)
				request.Header.Set("Accept-Encoding", encoding)
				var response discard
				if err := asset.serve(&discard{header: make(http.Header)}, request); err != nil {
					t.Fatal(err)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range requests {
					response = discard{header: make(http.Header)}
					if err := asset.serve(&response, request); err != nil {
						t.Fatal(err)
					}
				}
				runtime.ReadMemStats(&after)
				if each := (after.TotalAlloc - before.TotalAlloc) / requests; each > limit {
					t.Errorf("%s %s with %q takes %d bytes of memory", method, name, encoding, each)
				}
				lengths[method] = response.header.Get("Content-Length")
				if length := strconv.Itoa(response.length); method == http.MethodGet && length != lengths[method] ||
					method == http.MethodHead && response.length != 0 {
					t.Errorf("%s %s with %q: %s bytes, Content-Length %s", method, name, encoding, length, lengths[method])
				}
			}
			if lengths[http.MethodHead] != lengths[http.MethodGet] {
				t.Errorf("the lengths of %s with %q: %v", name, encoding, lengths)
			}
		}
	}
}

// The compressed form of an asset has the same content. It is sent if the client accepts it.
func TestCompressedAssets(t *testing.T) {
	site, err := New(Config{Brand: sesame})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
		asset := site.assets[name]
		reader, err := gzip.NewReader(bytes.NewReader(asset.compressed))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		decompressed, err := asset.content()
		if err != nil || !bytes.Equal(decompressed, content) || len(content) < 2*len(asset.compressed) {
			t.Errorf("%s: %d bytes, %d compressed, %v", name, len(content), len(asset.compressed), err)
		}
	}
	asset := site.assets["swagger-ui.css"]
	content, err := asset.content()
	if err != nil {
		t.Fatal(err)
	}
	for accepted, want := range map[string]bool{
		"": false, "identity": false, "br": false, "gzip": true, "GZIP": true, "x-gzip": true, "br, gzip": true,
		"gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=0.1": true, "gzip ; q=1": true, "*": true, "*;q=0": false,
		"gzip;q=0, *": false, "*;q=0, gzip": true, "gzipped": false, "identity;q=1, *;q=0": false,
	} {
		request := httptest.NewRequest(http.MethodGet, "http://h/", nil)
		request.Header.Set("Accept-Encoding", accepted)
		response := discard{header: http.Header{"Vary": {"Origin"}}}
		if err := asset.serve(&response, request); err != nil {
			t.Fatal(err)
		}
		length, encoding := len(content), ""
		if want {
			length, encoding = len(asset.compressed), "gzip"
		}
		if response.length != length || response.header.Get("Content-Encoding") != encoding {
			t.Errorf("%q: %d bytes, want %d, %v", accepted, response.length, length, response.header)
		}
		if vary := response.header.Values("Vary"); len(vary) != 2 || vary[0] != "Origin" || vary[1] != "Accept-Encoding" {
			t.Errorf("Vary is %q", vary)
		}
	}
}
