package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deeply the JSON of a body may be nested. The OpenAPI document has flat objects
// only.
const maxDepth = 16

// maxTokens is how many names, values and brackets a body may have. Those of the OpenAPI document
// have a dozen. To validate thousands would take several times as long as the rest of a request.
const maxTokens = 256

var (
	errTooLarge    = errors.New("body too large")
	errNotJSON     = errors.New("body is not declared as JSON")
	errMalformed   = errors.New("body is not one JSON value")
	errBodyReading = errors.New("body could not be read")
)

// readBody reads the body of a request and puts it back for validation. The body must be empty or
// one JSON value that all parsers read alike. Errors: errTooLarge, errNotJSON, errMalformed,
// errBodyReading.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errors.Join(errBodyReading, err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		return nil, nil // validation reports a missing body
	}
	if !declaresJSON(r.Header) {
		return nil, errNotJSON
	}
	return body, checkJSON(body)
}

func declaresJSON(header http.Header) bool {
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, declared := params["charset"]
	return err == nil && media == "application/json" && (!declared || strings.EqualFold(charset, "utf-8")) &&
		len(header.Values("Content-Type")) == 1 && header.Get("Content-Encoding") == ""
}

// checkJSON returns errMalformed for JSON that parsers disagree about (RFC 8259, sections 4, 6, 8.1
// and 8.2): duplicate names, numbers too large for a double, text that is not UTF-8, lone
// surrogates, and anything after the value. It also rejects NUL, which PostgreSQL cannot store, and
// more than maxDepth or maxTokens.
func checkJSON(body []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(body)) // strict by default
	for tokens := 1; ; tokens++ {
		token, err := decoder.ReadToken()
		if err != nil || tokens > maxTokens || decoder.StackDepth() > maxDepth || !isUnambiguous(token) {
			return errMalformed
		}
		if decoder.StackDepth() == 0 {
			break // the value is complete
		}
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errMalformed
	}
	return nil
}

func isUnambiguous(token jsontext.Token) bool {
	switch token.Kind() {
	case '"':
		return !strings.ContainsRune(token.String(), 0)
	case '0': // any number
		_, err := strconv.ParseFloat(token.String(), 64)
		return err == nil
	}
	return true
}
