// Command openapijson reads an OpenAPI document in YAML from its input and writes the same document in JSON, its
// members in the same order. It takes the YAML that JSON can say: a mapping's keys are texts, and what an alias stands
// for is written out. `make generate` makes gen/openapi.json with it.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

func main() {
	if err := convert(os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "openapijson:", err) // there is nowhere left to report to
		os.Exit(1)
	}
}

func convert(from io.Reader, to io.Writer) error {
	var document yaml.Node
	if err := yaml.NewDecoder(from).Decode(&document); err != nil {
		return err
	}
	return write(jsontext.NewEncoder(to, jsontext.WithIndent(" ")), &document)
}

func write(out *jsontext.Encoder, node *yaml.Node) error {
	switch node.Kind {
	case yaml.DocumentNode:
		return write(out, node.Content[0])
	case yaml.AliasNode:
		return write(out, node.Alias)
	case yaml.SequenceNode:
		return between(out, jsontext.BeginArray, jsontext.EndArray, node.Content)
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			if key := node.Content[i]; key.ShortTag() != "!!str" {
				return fmt.Errorf("line %d: the key %s is no text: quote it", key.Line, key.Value)
			}
		}
		return between(out, jsontext.BeginObject, jsontext.EndObject, node.Content)
	}
	return scalar(out, node)
}

func between(out *jsontext.Encoder, begin, end jsontext.Token, content []*yaml.Node) error {
	if err := out.WriteToken(begin); err != nil {
		return err
	}
	for _, node := range content {
		if err := write(out, node); err != nil {
			return err
		}
	}
	return out.WriteToken(end)
}

func scalar(out *jsontext.Encoder, node *yaml.Node) error {
	var value any
	if err := node.Decode(&value); err != nil {
		return err
	}
	switch value := value.(type) {
	case nil:
		return out.WriteToken(jsontext.Null)
	case bool:
		return out.WriteToken(jsontext.Bool(value))
	case int:
		return out.WriteToken(jsontext.Int(int64(value)))
	case float64:
		return out.WriteToken(jsontext.Float(value))
	case string:
		return out.WriteToken(jsontext.String(value))
	}
	return fmt.Errorf("line %d: %s is a %T, which JSON has not: quote it", node.Line, node.Value, value)
}
