package brand

import (
	"strings"
	"testing"
)

// A color is refused if white text on it is hard to read. The contrasts follow WCAG's definition.
func TestColors(t *testing.T) {
	for _, color := range []string{DefaultColor, "#000000", "#767676", "#0000FF", "#d00000"} {
		if err := CheckColor(color); err != nil {
			t.Errorf("%s: %v", color, err)
		}
	}
	for color, words := range map[string]string{
		"":                    "must be a color such as #1d5fa8",
		"#fff":                "must be a color such as",
		"1d5fa8":              "must be a color such as",
		"#1d5fa8ff":           "must be a color such as",
		"#00000g":             "must be a color such as",
		"red;} body{x:url(/)": "must be a color such as",
		"#ffffff":             "has a contrast of 1.0:1",
		"#777777":             "has a contrast of 4.4:1 and needs 4.5:1",
		"#00ff00":             "has a contrast of 1.3:1",
	} {
		if err := CheckColor(color); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", color, err)
		}
	}
}

func TestBrandNames(t *testing.T) {
	for _, name := range []string{"Sesame", "Müller & Söhne", strings.Repeat("ß", 50)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", " ", "Sesame ", "two\nlines", "\xff", strings.Repeat("x", 51)} {
		if err := CheckName(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
