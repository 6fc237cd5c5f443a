package web

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultColor is the color of a brand that has none of its own. The assets are written in it.
const DefaultColor = "#1d5fa8"

// longestName is how many code points the name of a brand may have.
const longestName = 50

// leastContrast is what letters need to be read by people of moderately low vision (WCAG 2.2, 1.4.3).
const leastContrast = 4.5

// Brand is what the pages look like.
type Brand struct {
	Name  string
	Color string // #rrggbb, of buttons with white letters, and of links on white
}

// CheckName tells what is wrong with the name of a brand.
func CheckName(name string) error {
	switch {
	case strings.TrimSpace(name) != name || name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("must be a name of one line")
	case utf8.RuneCountInString(name) > longestName:
		return fmt.Errorf("must have at most %d characters", longestName)
	}
	return nil
}

// CheckColor tells what is wrong with the color of a brand.
func CheckColor(color string) error {
	digits, found := strings.CutPrefix(color, "#")
	rgb, err := hex.DecodeString(digits)
	if !found || err != nil || len(rgb) != 3 {
		return errors.New("must be a color such as " + DefaultColor)
	}
	if contrast := contrastWithWhite([3]byte(rgb)); contrast < leastContrast {
		return fmt.Errorf("must be darker: white letters on it have a contrast of %.1f:1 and need %.1f:1 (WCAG 2.2, 1.4.3)",
			math.Floor(contrast*10)/10, leastContrast)
	}
	return nil
}

// contrastWithWhite is the contrast ratio of a color in sRGB (WCAG 2.2, "relative luminance", "contrast ratio").
func contrastWithWhite(rgb [3]byte) float64 {
	luminance := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part := float64(rgb[i]) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		luminance += weight * part
	}
	return 1.05 / (luminance + 0.05)
}
