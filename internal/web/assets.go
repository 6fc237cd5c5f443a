package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	swaggerui "github.com/swaggest/swgui/v5/static"

	"github.com/sesame-auth/sesame/internal/brand"
)

// swaggerAssets are the files of Swagger UI that the documentation needs, compressed with gzip.
var swaggerAssets = []string{"swagger-ui.css.gz", "swagger-ui-bundle.js.gz"}

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is a file that pages load. Its path contains a digest of its content, so that it can be
// cached forever.
type asset struct {
	path, mediaType string
	content         []byte
	compressed      bool // with gzip
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
	for _, name := range swaggerAssets {
		content, err := swaggerui.FS.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("swagger ui: %w", err)
		}
		name, _ = strings.CutSuffix(name, ".gz")
		swagger := newAsset(name, content)
		swagger.compressed = true
		assets[name] = swagger
	}
	return assets, nil
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
	return a.write(w, r, "public, max-age=31536000, immutable")
}

// favicon serves the icon at /favicon.ico, where browsers look for it if a page names none. This
// path does not contain a digest, so browsers cache it for a day only.
func (s *Site) favicon(w http.ResponseWriter, r *http.Request) error {
	return s.assets["icon.svg"].write(w, r, "public, max-age=86400")
}

func (a asset) write(w http.ResponseWriter, r *http.Request, caching string) error {
	header := w.Header()
	header.Set("Content-Type", a.mediaType)
	header.Set("Cache-Control", caching)
	var content io.Reader = bytes.NewReader(a.content)
	if a.compressed {
		header.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
		} else {
			plain, err := gzip.NewReader(content)
			if err != nil {
				return err
			}
			content = plain
		}
	}
	_, _ = io.Copy(w, content) // the browser may have disconnected
	return nil
}
