// Package sesame carries the contract of the Sesame authentication server.
package sesame

import _ "embed"

// OpenAPI is the contract, openapi.yaml, byte for byte: an OpenAPI 3.0.3 document.
//
//go:embed openapi.yaml
var OpenAPI []byte
