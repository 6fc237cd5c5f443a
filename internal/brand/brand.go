// Package brand defines how the service presents itself to people: its name and its color.
package brand

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// DefaultName is the name of a service if none is configured.
	DefaultName = "Sesame"
	// DefaultColor is the color of a service if none is configured. The style sheets contain it.
	DefaultColor = "#1d5fa8"

	maxNameLength = 50  // in code points
	minContrast   = 4.5 // of white text on the color (WCAG 2.2, success criterion 1.4.3)
)

// Brand is the name and color that pages and emails show.
type Brand struct {
	Name  string
	Color string // #rrggbb; for buttons with white text and links on white
}

// CheckName returns an error if name cannot be the name of a brand.
func CheckName(name string) error {
	switch {
	case name == "" || strings.TrimSpace(name) != name || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("must be one line, without leading or trailing spaces")
	case utf8.RuneCountInString(name) > maxNameLength:
		return fmt.Errorf("must have at most %d characters", maxNameLength)
	}
	return nil
}

// CheckColor returns an error if color cannot be the color of a brand.
func CheckColor(color string) error {
	digits, found := strings.CutPrefix(color, "#")
	rgb, err := hex.DecodeString(digits)
	if !found || err != nil || len(rgb) != 3 {
		return errors.New("must be a color such as " + DefaultColor)
	}
	if contrast := contrastWithWhite([3]byte(rgb)); contrast < minContrast {
		return fmt.Errorf("must be darker: white text on it has a contrast of %.1f:1 and needs %.1f:1 (WCAG 2.2, 1.4.3)",
			math.Floor(contrast*10)/10, minContrast)
	}
	return nil
}

// contrastWithWhite returns the contrast ratio of a color in sRGB (WCAG 2.2, "relative luminance",
// "contrast ratio").
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
