//go:build tools

package sesame

// This import pins the version of the generator in go.mod. `make generate` runs it.
import _ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
