package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	swaggerui "github.com/swaggest/swgui/v5/static"

	"github.com/sesame-auth/sesame/internal/brand"
)

// swaggerAssets returns the files of Swagger UI that the documentation needs, by name.
var swaggerAssets = sync.OnceValues(func() (map[string]asset, error) {
	assets := make(map[string]asset)
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
		compressed, err := swaggerui.FS.ReadFile(name + ".gz")
		if err != nil {
			return nil, fmt.Errorf("swagger ui: %w", err)
		}
		assets[name] = newCompressedAsset(name, compressed)
	}
	return assets, nil
})

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is a file that pages load. Its path contains a digest of its content, so that it can be
// cached forever.
type asset struct {
	path, mediaType string
	content         func() ([]byte, error)
	compressed      []byte // with gzip; nil: not stored
}

// loadAssets returns the assets by name. Their default color is replaced by color.
func loadAssets(color string) (map[string]asset, error) {
	assets := make(map[string]asset)
	entries, err := files.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			return nil, err
		}
		assets[entry.Name()] = newAsset(entry.Name(), bytes.ReplaceAll(content, []byte(brand.DefaultColor), []byte(color)))
	}
	swagger, err := swaggerAssets()
	maps.Copy(assets, swagger)
	return assets, err
}

func newAsset(name string, content []byte) asset {
	return asset{
		path: assetPath(name, content), mediaType: mediaTypes[path.Ext(name)],
		content: func() ([]byte, error) { return content, nil },
	}
}

// newCompressedAsset returns an asset that is stored compressed. It is decompressed once, for the
// first client that does not accept gzip, because a request must not cost more than sending a file.
func newCompressedAsset(name string, compressed []byte) asset {
	return asset{
		path: assetPath(name, compressed), mediaType: mediaTypes[path.Ext(name)], compressed: compressed,
		content: sync.OnceValues(func() ([]byte, error) {
			reader, err := gzip.NewReader(bytes.NewReader(compressed))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(reader)
		}),
	}
}

// assetPath returns the path of an asset, with a digest of what is stored.
func assetPath(name string, stored []byte) string {
	digest := sha256.Sum256(stored)
	extension := path.Ext(name)
	return "assets/" + strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(digest[:8]) + extension
}

// serve is a Page.
func (a asset) serve(w http.ResponseWriter, r *http.Request) error {
	return a.write(w, r, "public, max-age=31536000, immutable")
}

// favicon serves the icon at /favicon.ico, where browsers look for it if a page names none. This
// path does not contain a digest, so browsers cache it for a day only.
func (s *Site) favicon(w http.ResponseWriter, r *http.Request) error {
	return s.assets["icon.svg"].write(w, r, "public, max-age=86400")
}

func (a asset) write(w http.ResponseWriter, r *http.Request, caching string) error {
	content, isPacked := a.compressed, a.compressed != nil && acceptsGzip(r.Header)
	if !isPacked {
		var err error
		if content, err = a.content(); err != nil {
			return err
		}
	}
	header := w.Header()
	header.Set("Content-Type", a.mediaType)
	header.Set("Cache-Control", caching)
	if a.compressed != nil {
		header.Add("Vary", "Accept-Encoding") // the server may vary by origin, too
	}
	if isPacked {
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // the browser may have disconnected
	}
	return nil
}

// acceptsGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3).
func acceptsGzip(header http.Header) bool {
	accepted := false // by *
	for entry := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		coding, parameter, _ := strings.Cut(entry, ";")
		_, quality, _ := strings.Cut(parameter, "=")
		weight, err := strconv.ParseFloat(strings.TrimSpace(quality), 64)
		isAccepted := err != nil || weight > 0
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return isAccepted
		case "*":
			accepted = isAccepted
		}
	}
	return accepted
}
