package sesame_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	sesame "github.com/sesame-auth/sesame"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// The contract is valid to the library that requests are validated with, which knows all of its formats and patterns.
// Style and examples are checked by make check-contract.
func TestContractIsValid(t *testing.T) {
	if err := load(t).Validate(t.Context(), openapi3.DisableExamplesValidation(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableSchemaPatternValidation()); err != nil {
		t.Error(err)
	}
}

// In JSON it is the same document.
func TestContractInJSON(t *testing.T) {
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(sesame.OpenAPI, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(sesame.OpenAPIJSON, &fromJSON); err != nil { // which is YAML too
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Error("gen/openapi.json is not openapi.yaml: run make generate")
	}
}

// TestContractHasNoAnchors checks that openapi.yaml has no YAML anchors or aliases, which some tools do not support.
func TestContractHasNoAnchors(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal(sesame.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	var visit func(*yaml.Node)
	visit = func(node *yaml.Node) {
		if node.Anchor != "" || node.Kind == yaml.AliasNode {
			t.Errorf("openapi.yaml, line %d: write the value out instead of using an anchor or alias", node.Line)
		}
		for _, child := range node.Content {
			visit(child)
		}
	}
	visit(&document)
}

// What the page of the six operations says, word for word.
func TestContractKeepsThePage(t *testing.T) {
	document := load(t)
	if document.OpenAPI != "3.0.3" || document.Info.Title != "Authentication API" || document.Info.Version != "1.0.0" || document.Info.Description != "API for user authentication and management" {
		t.Errorf("%s %+v", document.OpenAPI, document.Info)
	}
	for path, want := range map[string]struct {
		id, summary, parameter string
		fields                 []string // of the body: a * behind those that are required, a ? behind those that may be null
		statuses               map[string]string
	}{
		"/auth": {id: "authenticate", summary: "Welcome authenticated user", statuses: map[string]string{"200": "Welcome message with user information"}},
		"/auth/register": {id: "register", summary: "Register a new user", fields: []string{"bio?", "confirm*", "email*email", "name*", "password*"},
			statuses: map[string]string{"201": "User registered successfully", "400": "Bad request (validation error)"}},
		"/auth/login":  {id: "login", summary: "User login", fields: []string{"email*", "password*"}, statuses: map[string]string{"200": "Login successful", "401": "Unauthorized"}},
		"/auth/logout": {id: "logout", summary: "User logout", fields: []string{"refreshToken*"}, statuses: map[string]string{"200": "Logout successful", "400": "Bad request"}},
		"/auth/refresh-tokens": {id: "refreshTokens", summary: "Refresh access tokens", fields: []string{"refreshToken*"},
			statuses: map[string]string{"200": "Tokens refreshed successfully", "401": "Unauthorized"}},
		"/auth/reset-password": {id: "resetPassword", summary: "Reset user password", parameter: "token", fields: []string{"password*"},
			statuses: map[string]string{"200": "Password reset successful", "400": "Bad request", "401": "Unauthorized"}},
	} {
		operation := document.Paths.Value(path).Post
		if operation.OperationID != want.id || operation.Summary != want.summary {
			t.Errorf("%s: %q %q", path, operation.OperationID, operation.Summary)
		}
		for status, description := range want.statuses {
			if response := operation.Responses.Value(status); response == nil || *response.Value.Description != description {
				t.Errorf("%s %s is not described as %q", path, status, description)
			}
		}
		if want.parameter != "" {
			if p := operation.Parameters.GetByInAndName("query", want.parameter); p == nil || !p.Required || !p.Schema.Value.Type.Is("string") {
				t.Errorf("%s: parameter %s", path, want.parameter)
			}
		}
		if want.fields != nil {
			if fields := describe(operation.RequestBody.Value.Content.Get("application/json").Schema.Value); !operation.RequestBody.Value.Required || !slices.Equal(fields, want.fields) {
				t.Errorf("%s: fields %q, want %q", path, fields, want.fields)
			}
		}
	}
	if user := describe(document.Components.Schemas["User"].Value); !slices.Equal(user, []string{"bio?", "email*email", "name*"}) {
		t.Errorf("User: %q", user)
	}
	if welcome := describe(document.Paths.Value("/auth").Post.Responses.Value("200").Value.Content.Get("application/json").Schema.Value); !slices.Equal(welcome, []string{"message", "user"}) {
		t.Errorf("the welcome: %q", welcome)
	}
	if bearer := document.Components.SecuritySchemes["BearerAuth"].Value; bearer.Type != "http" || bearer.Scheme != "bearer" {
		t.Errorf("BearerAuth: %+v", bearer)
	}
}

func describe(schema *openapi3.Schema) []string {
	var fields []string
	for name, property := range schema.Properties {
		if slices.Contains(schema.Required, name) {
			name += "*"
		}
		if property.Value.Nullable {
			name += "?"
		}
		fields = append(fields, name+property.Value.Format)
	}
	slices.Sort(fields)
	return fields
}
