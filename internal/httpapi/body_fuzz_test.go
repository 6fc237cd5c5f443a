package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
)

// Two JSON parsers that differ in strictness read every body that checkJSON accepts alike.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":"b"}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{}{}`,
		`[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, ` "x" `, `nul`, `1e700`, `-0`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body) != nil {
			return
		}
		var one, other any
		if err := json.Unmarshal(body, &one); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if err := jsonv2.Unmarshal(body, &other); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if !reflect.DeepEqual(one, other) {
			t.Errorf("%q is %v with encoding/json and %v with jsonv2", body, one, other)
		}
		var texts func(value any)
		texts = func(value any) {
			switch value := value.(type) {
			case string:
				if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
					t.Errorf("%q contains %q", body, value)
				}
			case []any:
				for _, one := range value {
					texts(one)
				}
			case map[string]any:
				for name, one := range value {
					texts(name)
					texts(one)
				}
			}
		}
		texts(one)
	})
}
