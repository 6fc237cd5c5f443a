// Package sesame carries the contract of the Sesame authentication server.
package sesame

import _ "embed"

// OpenAPI is the contract, openapi.yaml, byte for byte: an OpenAPI 3.0.3 document.
//
//go:embed openapi.yaml
var OpenAPI []byte

// OpenAPIJSON is the same document in JSON, which a start parses sooner.
//
//go:embed gen/openapi.json
var OpenAPIJSON []byte
