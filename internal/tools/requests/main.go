// Command requests prints the part of an OpenAPI document that requests are validated against. The
// server parses it at start, which takes a tenth of the time of the whole document.
//
// It reads the document, in JSON, from standard input. It leaves out responses, texts and examples,
// and the components that no request refers to.
package main

import (
	"encoding/json"
	"log"
	"os"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("requests: ")
	var document map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&document); err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(reduce(document)); err != nil {
		log.Fatal(err)
	}
}

func reduce(document map[string]any) map[string]any {
	reduced := make(map[string]any)
	for _, member := range []string{"openapi", "info", "paths", "components", "security"} {
		if value, ok := document[member]; ok {
			reduced[member] = without(value, false)
		}
	}
	prune(reduced)
	return reduced
}

// unused are the members of objects that validation does not use.
var unused = []string{
	"description", "summary", "title", "example", "examples", "externalDocs", "tags", "responses", "headers",
}

// named are the members whose value is an object with names of the document's author, such as the
// names of properties.
var named = []string{"properties", "schemas", "parameters", "requestBodies", "securitySchemes"}

// without returns a value without the unused members. isNamed says that the members of the value
// have names of the document's author.
func without(value any, isNamed bool) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any)
		for name, member := range value {
			if isNamed || !slices.Contains(unused, name) {
				kept[name] = without(member, !isNamed && slices.Contains(named, name))
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(value)) // not nil: an operation without security has an empty list
		for _, element := range value {
			kept = append(kept, without(element, false))
		}
		return kept
	default:
		return value
	}
}

// prune removes the components that nothing refers to, except the security schemes, to which
// requirements refer by name.
func prune(document map[string]any) {
	components, _ := document["components"].(map[string]any)
	used := make(map[string]bool)
	follow(document, document["paths"], used)
	for kind, all := range components {
		all, _ := all.(map[string]any)
		for name := range all {
			if kind != "securitySchemes" && !used["#/components/"+kind+"/"+name] {
				delete(all, name)
			}
		}
	}
}

// follow adds the references in value, and those in what they refer to.
func follow(document map[string]any, value any, used map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		if reference, ok := value["$ref"].(string); ok && !used[reference] {
			used[reference] = true
			follow(document, resolve(document, reference), used)
		}
		for _, member := range value {
			follow(document, member, used)
		}
	case []any:
		for _, element := range value {
			follow(document, element, used)
		}
	}
}

// resolve returns what a reference such as #/components/schemas/User refers to.
func resolve(document map[string]any, reference string) any {
	var value any = document
	for name := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	return value
}
