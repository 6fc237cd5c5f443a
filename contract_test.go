package sesame_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/auth"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	document.SetStringFormatValidator("email", openapi3.NewCallbackValidator(func(text string) error {
		_, err := auth.NormalizeAddress(text)
		return err
	}))
	return document
}

// The contract is a valid document, and so is every example in it.
func TestContractIsValid(t *testing.T) {
	document := load(t)
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableSchemaPatternValidation()); err != nil {
		t.Error(err)
	}
	for name, schema := range document.Components.Schemas {
		if schema.Value.Example == nil && name != "ProblemCode" {
			t.Errorf("schema %s has no example", name)
			continue
		}
		if err := schema.Value.VisitJSON(schema.Value.Example, document.GetSchemaValidationOptions()...); err != nil {
			t.Errorf("the example of schema %s: %v", name, err)
		}
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

// What keeps clients of every language well: names on everything, and a problem document for every error.
func TestContractStyle(t *testing.T) {
	document := load(t)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			where := method + " " + path
			if operation.OperationID == "" || operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 || operation.Security == nil {
				t.Errorf("%s lacks an operationId, a summary, a description, a tag or its security", where)
			}
			if operation.Responses.Default() != nil {
				t.Errorf("%s has a default answer: it would allow any status", where)
			}
			if body := operation.RequestBody; body != nil {
				content(t, where, body.Value.Content)
			}
			for _, parameter := range operation.Parameters {
				if parameter.Value.Example == nil || parameter.Value.Description == "" || parameter.Value.Schema.Ref == "" {
					t.Errorf("%s: parameter %s lacks an example, a description or a named schema", where, parameter.Value.Name)
				}
			}
			for status, response := range operation.Responses.Map() {
				content(t, where+" "+status, response.Value.Content)
				if media := response.Value.Content.Get("application/problem+json"); (status >= "400") != (media != nil && media.Schema.Ref == "#/components/schemas/Problem") {
					t.Errorf("%s %s: an error is a problem document, and nothing else is", where, status)
				}
			}
		}
	}
	for name, schema := range document.Components.Schemas {
		if strings.HasSuffix(name, "Response") {
			t.Errorf("%s: the Go client makes types of such names", name)
		}
		for property, value := range schema.Value.Properties {
			if value.Ref == "" && value.Value.Description == "" {
				t.Errorf("%s.%s has no description", name, property)
			}
			if value.Value.Type.Is("object") && value.Ref == "" {
				t.Errorf("%s.%s is an object without a name", name, property)
			}
		}
	}
}

func content(t *testing.T, where string, content openapi3.Content) {
	t.Helper()
	for name, media := range content {
		if media.Schema == nil || media.Schema.Ref == "" || media.Example == nil && len(media.Examples) == 0 {
			t.Errorf("%s, %s: lacks a named schema or an example", where, name)
		}
	}
}
