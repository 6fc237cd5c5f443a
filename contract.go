// Package sesame embeds the OpenAPI document of the Sesame authentication server.
package sesame

import _ "embed"

// OpenAPI is the content of openapi.yaml, an OpenAPI 3.0.3 document.
//
//go:embed openapi.yaml
var OpenAPI []byte

// OpenAPIJSON is the same document in JSON, which is faster to parse.
//
//go:embed gen/openapi.json
var OpenAPIJSON []byte

// OpenAPIRequests is the part of the document that requests are validated against.
//
//go:embed gen/requests.json
var OpenAPIRequests []byte
