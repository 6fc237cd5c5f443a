//go:build tools

package sesame

// The generator is pinned by go.mod through this import; `make generate` runs it.
import _ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
