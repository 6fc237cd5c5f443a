package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
)

// Two readers of JSON that differ in what they let pass agree about every body that checkJSON lets through.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{}{}`, `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, ` "x" `, `nul`, `1e700`, `-0`, ``} {
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
			t.Errorf("%q is %v to one and %v to another", body, one, other)
		}
		var texts func(value any)
		texts = func(value any) {
			switch value := value.(type) {
			case string:
				if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
					t.Errorf("%q holds %q", body, value)
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
