package main

import (
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	for from, want := range map[string]string{
		"b: 1\na: [x, 'y', 0.5, true, null]": `{"b":1,"a":["x","y",0.5,true,null]}`, // in the order given
		"a: &x {b: '200'}\nc: *x":            `{"a":{"b":"200"},"c":{"b":"200"}}`,
		"a: >-\n  one\n  line\n\"y\": é<":    `{"a":"one line","y":"é<"}`,
	} {
		var to strings.Builder
		if err := convert(strings.NewReader(from), &to); err != nil {
			t.Errorf("%q: %v", from, err)
		}
		if got := strings.NewReplacer("\n", "", "\": ", "\":", " \"", "\"", " ", "").Replace(to.String()); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%q becomes %s, want %s", from, got, want)
		}
	}
	for from, words := range map[string]string{
		"200: x":               "line 1: the key 200 is no text",
		"a: 2020-01-02":        "line 1: 2020-01-02 is a time.Time",
		"a: &x 1\nb: {<<: *x}": "line 2: the key << is no text",
		"a: 1\na: 2":           "duplicate",
		"a: [":                 "yaml",
	} {
		if err := convert(strings.NewReader(from), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, which does not say %q", from, err, words)
		}
	}
}
