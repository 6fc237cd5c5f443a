package httpapi

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-json-experiment/json"

	"github.com/sesame-auth/sesame/gen/api"
)

// invalidRequestError is returned for a request that the OpenAPI document does not allow. It lists
// every error.
type invalidRequestError struct{ errors []api.ValidationError }

func (e *invalidRequestError) Error() string {
	return fmt.Sprintf("the request is invalid (%d errors)", len(e.errors))
}

// add adds an error in the body, at a JSON pointer. It does not use the validator's texts: they
// quote what was submitted, even a password.
func (e *invalidRequestError) add(pointer string, code api.ValidationCode, detail string) {
	e.errors = append(e.errors, api.ValidationError{Pointer: &pointer, Code: code, Detail: detail})
}

// addParameter adds an error of a query or path parameter.
func (e *invalidRequestError) addParameter(name string, code api.ValidationCode, detail string) {
	e.errors = append(e.errors, api.ValidationError{Parameter: &name, Code: code, Detail: detail})
}

const (
	isRequired = "This value is required."
	isInvalid  = "This value is not valid."
)

// addValidation adds what openapi3filter.ValidateRequest found.
func (e *invalidRequestError) addValidation(err error) {
	if err == nil {
		return
	}
	request, ok := err.(*openapi3filter.RequestError) //nolint:errorlint // a MultiError may contain several
	if !ok {
		several, _ := errors.AsType[openapi3.MultiError](err)
		for _, one := range several {
			e.addValidation(one)
		}
		if several == nil {
			e.add("", api.ValidationCodeInvalidFormat, isInvalid)
		}
		return
	}
	switch {
	case request.Parameter != nil:
		e.addInvalidParameter(request)
	case errors.Is(request.Err, openapi3filter.ErrInvalidRequired):
		e.add("", api.ValidationCodeRequired, "A request body is required.")
	default:
		e.addInvalidBody(request.Err)
	}
}

func (e *invalidRequestError) addInvalidParameter(request *openapi3filter.RequestError) {
	name := request.Parameter.Name
	if errors.Is(request.Err, openapi3filter.ErrInvalidRequired) ||
		errors.Is(request.Err, openapi3filter.ErrInvalidEmptyValue) {
		e.addParameter(name, api.ValidationCodeRequired, isRequired)
		return
	}
	code, detail := api.ValidationCodeInvalidFormat, isInvalid
	if schema, ok := errors.AsType[*openapi3.SchemaError](request.Err); ok {
		code, detail = describe(schema)
	}
	e.addParameter(name, code, detail)
}

func (e *invalidRequestError) addInvalidBody(err error) {
	if several, ok := errors.AsType[openapi3.MultiError](err); ok {
		for _, one := range several {
			e.addInvalidBody(one)
		}
		return
	}
	schema, ok := errors.AsType[*openapi3.SchemaError](err)
	if !ok {
		e.add("", api.ValidationCodeInvalidFormat, isInvalid)
		return
	}
	pointer := ""
	for _, name := range schema.JSONPointer() {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	code, detail := describe(schema)
	e.add(pointer, code, detail)
}

// describe returns the code and text of a schema violation.
func describe(err *openapi3.SchemaError) (code api.ValidationCode, detail string) {
	schema := err.Schema
	switch err.SchemaField {
	case "required":
		return api.ValidationCodeRequired, isRequired
	case "nullable":
		return api.ValidationCodeWrongType, "This value must not be null."
	case "type":
		return api.ValidationCodeWrongType, fmt.Sprintf("This value must be %s.", withArticle(schema.Type.Slice()))
	case "format":
		if schema.Format == "email" {
			return api.ValidationCodeInvalidFormat, "This is not a valid email address."
		}
	case "minLength":
		if schema.MinLength == 1 {
			return api.ValidationCodeTooShort, "This value must not be empty."
		}
		return tooShort(schema.MinLength)
	case "maxLength":
		return tooLong(*schema.MaxLength)
	}
	return api.ValidationCodeInvalidFormat, isInvalid
}

func tooShort(minLength uint64) (code api.ValidationCode, detail string) {
	return api.ValidationCodeTooShort, fmt.Sprintf("This value must have at least %d characters.", minLength)
}

func tooLong(maxLength uint64) (code api.ValidationCode, detail string) {
	return api.ValidationCodeTooLong, fmt.Sprintf("This value must have at most %d characters.", maxLength)
}

func withArticle(types []string) string {
	words := strings.Join(types, " or ")
	if words != "" && slices.Contains([]byte("aeiou"), words[0]) {
		return "an " + words
	}
	return "a " + words
}

// addUnequal adds properties that differ from the property named by the extension x-equal-to.
func (e *invalidRequestError) addUnequal(operation *openapi3.Operation, body []byte) {
	if operation.RequestBody == nil {
		return
	}
	for name, property := range operation.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
		other, marked := property.Value.Extensions["x-equal-to"].(string)
		if !marked {
			continue
		}
		var members map[string]any
		if json.Unmarshal(body, &members) != nil {
			continue // not an object, which addValidation has reported
		}
		this, isText := members[name].(string)
		if that, alsoText := members[other].(string); isText && alsoText && this != that {
			e.add("/"+name, api.ValidationCodeNotEqual, fmt.Sprintf("This value must be the same as %s.", other))
		}
	}
}

// addDuplicates adds query parameters that were given more than once: readers disagree about which
// one counts.
func (e *invalidRequestError) addDuplicates(operation *openapi3.Operation, query url.Values) {
	for _, parameter := range operation.Parameters {
		if name := parameter.Value.Name; parameter.Value.In == openapi3.ParameterInQuery && len(query[name]) > 1 {
			e.addParameter(name, api.ValidationCodeDuplicate, "This parameter must be given only once.")
		}
	}
}
