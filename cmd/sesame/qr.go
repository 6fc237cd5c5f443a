package main

import (
	"fmt"
	"strings"

	qr "github.com/piglig/go-qr"
)

// quietZone is the width of the light border that scanners need, in modules (ISO/IEC 18004, section
// 6.3.8).
const quietZone = 4

// qrCode returns a QR code for a terminal. Each character shows two modules, one above the other,
// with explicit colors, because the colors of terminals differ.
func qrCode(text string) (string, error) {
	code, err := qr.EncodeText(text, qr.Medium)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}
	const blackOnWhite, reset = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	isDark := func(x, y int) bool { return code.Module(x, y) } // outside of the code, all are light
	var image strings.Builder
	for y := -quietZone; y < code.Size()+quietZone; y += 2 {
		image.WriteString(blackOnWhite)
		for x := -quietZone; x < code.Size()+quietZone; x++ {
			switch top, bottom := isDark(x, y), isDark(x, y+1); {
			case top && bottom:
				image.WriteString("█")
			case top:
				image.WriteString("▀")
			case bottom:
				image.WriteString("▄")
			default:
				image.WriteString(" ")
			}
		}
		image.WriteString(reset + "\n")
	}
	return image.String(), nil
}
