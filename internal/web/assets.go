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

// swaggerAssets returns the files of Swagger UI that the documentation needs, by name. They are
// decompressed once, because a request must not cost more than sending a file.
var swaggerAssets = sync.OnceValues(func() (map[string]asset, error) {
	assets := make(map[string]asset)
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
		compressed, err := swaggerui.FS.ReadFile(name + ".gz")
		if err != nil {
			return nil, fmt.Errorf("swagger ui: %w", err)
		}
		reader, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			return nil, fmt.Errorf("swagger ui: %s: %w", name, err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, fmt.Errorf("swagger ui: %s: %w", name, err)
		}
		swagger := newAsset(name, content)
		swagger.compressed = compressed
		assets[name] = swagger
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
	content         []byte
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
	digest := sha256.Sum256(content)
	extension := path.Ext(name)
	return asset{
		path:      "assets/" + strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(digest[:8]) + extension,
		mediaType: mediaTypes[extension], content: content,
	}
}

// serve is a Page.
func (a asset) serve(w http.ResponseWriter, r *http.Request) error {
	a.write(w, r, "public, max-age=31536000, immutable")
	return nil
}

// favicon serves the icon at /favicon.ico, where browsers look for it if a page names none. This
// path does not contain a digest, so browsers cache it for a day only.
func (s *Site) favicon(w http.ResponseWriter, r *http.Request) error {
	s.assets["icon.svg"].write(w, r, "public, max-age=86400")
	return nil
}

func (a asset) write(w http.ResponseWriter, r *http.Request, caching string) {
	header, content := w.Header(), a.content
	header.Set("Content-Type", a.mediaType)
	header.Set("Cache-Control", caching)
	if a.compressed != nil {
		header.Add("Vary", "Accept-Encoding") // the server may vary by origin, too
		if acceptsGzip(r.Header) {
			header.Set("Content-Encoding", "gzip")
			content = a.compressed
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // the browser may have disconnected
	}
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
