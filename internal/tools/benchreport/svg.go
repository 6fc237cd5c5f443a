package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The size of a plot and the space around its area.
const (
	width, height           = 720.0, 380.0
	left, right, top, below = 70.0, 20.0, 60.0, 50.0
)

// style has the colors for light and dark pages.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 15px }
.grid { stroke: #d1d9e0 } polyline { fill: none; stroke-width: 2.5 } .dashed { stroke-dasharray: 6 5 }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 }
.s2 { stroke: #1a7f37; fill: #1a7f37 } .s3 { stroke: #8250df; fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .grid { stroke: #3d444d }
  .s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e }
  .s2 { stroke: #3fb950; fill: #3fb950 } .s3 { stroke: #bc8cff; fill: #bc8cff }
}
polyline.s0, polyline.s1, polyline.s2, polyline.s3 { fill: none }
</style>
`

// drawing is an SVG that is being written.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) {
	_, _ = fmt.Fprintf(&d.Builder, format+"\n", args...)
}

// text writes a text at a position. The anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor, class, text string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
}

// begin returns a drawing with a title and a legend.
func begin(title string, legend []string) *drawing {
	d := &drawing{}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`,
		width, height, html.EscapeString(title))
	d.WriteString(style)
	d.text(left, 22, "start", "title", title)
	x := left
	for i, name := range legend {
		d.add(`<rect x="%.1f" y="34" width="12" height="12" class="s%d"/>`, x, i)
		d.text(x+17, 45, "start", "", name)
		x += 32 + 6.4*float64(len(name))
	}
	return d
}

func (d *drawing) end() string {
	d.add("</svg>")
	return d.String()
}

// axis maps values to positions.
type axis struct {
	low, high float64
	log       bool
	from, to  float64 // the positions of low and high
}

func (a axis) at(value float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, value = math.Log(low), math.Log(high), math.Log(value)
	}
	return a.from + (value-low)/(high-low)*(a.to-a.from)
}

// upTo returns the vertical axis for values up to the largest one: from 0, or from the smallest one if
// it is logarithmic.
func upTo(smallest, largest float64, log bool) axis {
	a := axis{log: log, from: height - below, to: top, high: largest * 1.05}
	if log {
		a.low, a.high = smallest/1.2, largest*1.2
	}
	return a
}

// ticks returns round values within the axis.
func (a axis) ticks() (values []float64) {
	if a.log {
		for power := math.Floor(math.Log10(a.low)); power <= math.Log10(a.high); power++ {
			for _, digit := range []float64{1, 2, 5} {
				if value := digit * math.Pow(10, power); value >= a.low && value <= a.high {
					values = append(values, value)
				}
			}
		}
		return values
	}
	power := math.Pow(10, math.Floor(math.Log10(a.high/5)))
	step := power
	for _, factor := range []float64{2, 5, 10} {
		if a.high/step > 6 {
			step = power * factor
		}
	}
	for i := 0; float64(i)*step <= a.high; i++ {
		values = append(values, float64(i)*step)
	}
	return values
}

// vertical draws the vertical axis.
func (d *drawing) vertical(a axis, label string) {
	for _, value := range a.ticks() {
		y := a.at(value)
		d.add(`<line x1="%g" x2="%g" y1="%.1f" y2="%[3]f" class="grid"/>`, left, width-right, y)
		d.text(left-8, y+4, "end", "", number(value))
	}
	d.add(`<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">%s</text>`,
		(top+height-below)/2, html.EscapeString(label))
}

// number formats a number: 1,234 or 1.23.
func number(value float64) string {
	switch {
	case value == 0:
		return "0"
	case math.Abs(value) < 10 && value != math.Trunc(value):
		return fmt.Sprintf("%.2g", value)
	}
	digits := fmt.Sprintf("%.0f", value)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
