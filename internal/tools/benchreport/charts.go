package main

import (
	"fmt"
	"math"
	"strings"
)

// line is a line of a plot.
type line struct {
	name   string
	x, y   []float64
	beyond float64 // x up to which the line is extrapolated; 0: not
}

// lineChart is a plot with a logarithmic horizontal axis.
type lineChart struct {
	title, xLabel, yLabel string
	logarithmic           bool // the vertical axis
	lines                 []line
}

func (c lineChart) svg() string {
	smallest, largest := math.Inf(1), 0.0
	low, high := math.Inf(1), 0.0
	var ticks []float64
	var names []string
	for _, l := range c.lines {
		names = append(names, l.name)
		if len(l.x) > len(ticks) {
			ticks = l.x
		}
		for i := range l.x {
			low, high = min(low, l.x[i]), max(high, l.x[i], l.beyond)
			smallest, largest = min(smallest, l.y[i]), max(largest, l.y[i])
		}
	}
	if high > ticks[len(ticks)-1] {
		ticks = append(ticks, high)
	}
	d := begin(c.title, names)
	x := axis{low: low, high: high, log: true, from: left, to: width - right - 20}
	y := upTo(smallest, largest, c.logarithmic)
	d.vertical(y, c.yLabel)
	for _, value := range ticks {
		d.text(x.at(value), height-below+20, "middle", "", number(value))
	}
	d.text((left+width-right)/2, height-12, "middle", "", c.xLabel)
	for i, l := range c.lines {
		var points strings.Builder
		for j := range l.x {
			_, _ = fmt.Fprintf(&points, "%.1f,%.1f ", x.at(l.x[j]), y.at(l.y[j]))
			d.add(`<circle cx="%.1f" cy="%.1f" r="3" class="s%d"/>`, x.at(l.x[j]), y.at(l.y[j]), i)
		}
		d.add(`<polyline points="%s" class="s%d"/>`, points.String(), i)
		if last := len(l.x) - 1; l.beyond > 0 {
			d.add(`<polyline points="%.1f,%.1f %.1f,%.1f" class="s%d dashed"/>`, x.at(l.x[last]), y.at(l.fit(l.x[last])),
				x.at(l.beyond), y.at(max(0, l.fit(l.beyond))), i)
		}
	}
	return d.end()
}

// fit returns the value at x of the straight line through the points, by least squares, with the
// logarithm of x.
func (l line) fit(x float64) float64 {
	var sumX, sumY, sumXX, sumXY float64
	for i := range l.x {
		logX := math.Log(l.x[i])
		sumX, sumY, sumXX, sumXY = sumX+logX, sumY+l.y[i], sumXX+logX*logX, sumXY+logX*l.y[i]
	}
	n := float64(len(l.x))
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return (sumY-slope*sumX)/n + slope*math.Log(x)
}

// barChart is a plot with groups of bars.
type barChart struct {
	title, yLabel string
	bars          []string // the names of the bars of a group
	groups        []barGroup
}

type barGroup struct {
	name   string
	values []float64
}

func (c barChart) svg() string {
	largest := 0.0
	for _, group := range c.groups {
		for _, value := range group.values {
			largest = max(largest, value)
		}
	}
	d := begin(c.title, c.bars)
	y := upTo(0, largest, false)
	d.vertical(y, c.yLabel)
	space := (width - left - right) / float64(len(c.groups))
	bar := space / float64(len(c.bars)+1)
	for i, group := range c.groups {
		start := left + space*float64(i) + bar/2
		for j, value := range group.values {
			x := start + bar*float64(j)
			d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="s%d"/>`,
				x+bar*0.1, y.at(value), bar*0.8, y.at(0)-y.at(value), j)
			d.text(x+bar/2, y.at(value)-6, "middle", "", number(value))
		}
		d.text(start+bar*float64(len(c.bars))/2, height-below+20, "middle", "", group.name)
	}
	return d.end()
}
