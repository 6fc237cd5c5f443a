package sesame_test

import (
	"encoding/json"
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

// The library that validates requests accepts the document with all its formats and patterns. make
// check-contract checks its style and examples.
func TestDocumentIsValid(t *testing.T) {
	err := load(t).Validate(t.Context(),
		openapi3.DisableExamplesValidation(),
		openapi3.EnableSchemaFormatValidation(),
		openapi3.EnableSchemaPatternValidation())
	if err != nil {
		t.Error(err)
	}
}

func TestJSONEqualsYAML(t *testing.T) {
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(sesame.OpenAPI, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(sesame.OpenAPIJSON, &fromJSON); err != nil { // JSON is YAML too
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Error("gen/openapi.json differs from openapi.yaml: run make generate")
	}
}

// Requests are validated against what the document says about them: only texts and examples are left
// out.
func TestRequestsEqualDocument(t *testing.T) {
	reduced, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPIRequests)
	if err != nil {
		t.Fatal(err)
	}
	document := load(t)
	if !reflect.DeepEqual(reduced.Components.SecuritySchemes, document.Components.SecuritySchemes) ||
		!reflect.DeepEqual(reduced.Security, document.Security) {
		t.Error("the security of the document differs: run make generate")
	}
	if reduced.Paths.Len() != document.Paths.Len() {
		t.Errorf("%d paths, want %d", reduced.Paths.Len(), document.Paths.Len())
	}
	for path, item := range document.Paths.Map() {
		item = reduceItem(item)
		got := reduced.Paths.Value(path)
		if !reflect.DeepEqual(got, item) { //nolint:govet // the only errors are about references: none
			t.Errorf("%s differs: run make generate\n%s\n%s", path, asJSON(t, got), asJSON(t, item))
		}
	}
}

// reduceItem removes the texts, the examples and the responses of the operations of a path.
func reduceItem(item *openapi3.PathItem) *openapi3.PathItem {
	item.Summary, item.Description = "", ""
	for _, operation := range item.Operations() {
		operation.Summary, operation.Description, operation.Tags, operation.Responses = "", "", nil, nil
		for _, parameter := range slices.Concat(item.Parameters, operation.Parameters) {
			parameter.Value.Description, parameter.Value.Example, parameter.Value.Examples = "", nil, nil
			reduceSchema(parameter.Value.Schema)
		}
		if operation.RequestBody == nil {
			continue
		}
		operation.RequestBody.Value.Description = ""
		for _, content := range operation.RequestBody.Value.Content {
			content.Example, content.Examples = nil, nil
			reduceSchema(content.Schema)
		}
	}
	return item
}

// reduceSchema removes the texts and examples of a schema. The schemas of requests only nest
// properties; what nests in another way would differ in the test.
func reduceSchema(schema *openapi3.SchemaRef) {
	schema.Value.Title, schema.Value.Description, schema.Value.Example = "", "", nil
	for _, property := range schema.Value.Properties {
		reduceSchema(property)
	}
}

func asJSON(t *testing.T, value any) []byte {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// openapi.yaml has no YAML anchors or aliases, which some tools do not support.
func TestNoAnchors(t *testing.T) {
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

// The six operations of the original API specification are unchanged, except that more statuses are
// documented.
func TestSpecifiedOperations(t *testing.T) {
	document := load(t)
	info := document.Info
	if document.OpenAPI != "3.0.3" || info.Title != "Authentication API" || info.Version != "1.0.0" {
		t.Errorf("%s %+v", document.OpenAPI, info)
	}
	if info.Description != "API for user authentication and management" {
		t.Errorf("description: %q", info.Description)
	}
	for path, want := range map[string]struct {
		id, summary, parameter string
		fields                 []string // of the body, as describe returns them
		statuses               map[string]string
	}{
		"/auth": {
			id: "authenticate", summary: "Welcome authenticated user",
			statuses: map[string]string{"200": "Welcome message with user information"},
		},
		"/auth/register": {
			id: "register", summary: "Register a new user",
			fields:   []string{"bio?", "confirm*", "email*email", "name*", "password*"},
			statuses: map[string]string{"201": "User registered successfully", "400": "Bad request (validation error)"},
		},
		"/auth/login": {
			id: "login", summary: "User login",
			fields:   []string{"email*", "password*"},
			statuses: map[string]string{"200": "Login successful", "401": "Unauthorized"},
		},
		"/auth/logout": {
			id: "logout", summary: "User logout",
			fields:   []string{"refreshToken*"},
			statuses: map[string]string{"200": "Logout successful", "400": "Bad request"},
		},
		"/auth/refresh-tokens": {
			id: "refreshTokens", summary: "Refresh access tokens",
			fields:   []string{"refreshToken*"},
			statuses: map[string]string{"200": "Tokens refreshed successfully", "401": "Unauthorized"},
		},
		"/auth/reset-password": {
			id: "resetPassword", summary: "Reset user password",
			parameter: "token",
			fields:    []string{"password*"},
			statuses:  map[string]string{"200": "Password reset successful", "400": "Bad request", "401": "Unauthorized"},
		},
	} {
		operation := document.Paths.Value(path).Post
		if operation.OperationID != want.id || operation.Summary != want.summary {
			t.Errorf("%s: %q %q", path, operation.OperationID, operation.Summary)
		}
		for status, description := range want.statuses {
			response := operation.Responses.Value(status)
			if response == nil || *response.Value.Description != description {
				t.Errorf("%s %s is not described as %q", path, status, description)
			}
		}
		if want.parameter != "" {
			p := operation.Parameters.GetByInAndName("query", want.parameter)
			if p == nil || !p.Required || !p.Schema.Value.Type.Is("string") {
				t.Errorf("%s: parameter %s is not a required string", path, want.parameter)
			}
		}
		if want.fields != nil {
			body := operation.RequestBody.Value
			if fields := describe(jsonSchema(body.Content)); !body.Required || !slices.Equal(fields, want.fields) {
				t.Errorf("%s: fields %q, want %q", path, fields, want.fields)
			}
		}
	}
	user := describe(document.Components.Schemas["User"].Value)
	if !slices.Equal(user, []string{"bio?", "email*email", "name*"}) {
		t.Errorf("User: %q", user)
	}
	welcome := describe(jsonSchema(document.Paths.Value("/auth").Post.Responses.Value("200").Value.Content))
	if !slices.Equal(welcome, []string{"emailVerified", "message", "sessionId", "user", "userId"}) {
		t.Errorf("response of /auth: %q", welcome)
	}
	bearer := document.Components.SecuritySchemes["BearerAuth"].Value
	if bearer.Type != "http" || bearer.Scheme != "bearer" {
		t.Errorf("BearerAuth: %+v", bearer)
	}
}

func jsonSchema(content openapi3.Content) *openapi3.Schema {
	return content.Get("application/json").Schema.Value
}

// describe returns the fields of a schema, sorted. Each name is followed by "*" if the field is
// required, by "?" if it may be null, and by its format.
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
