package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func machine(r *results) (string, map[string]string) {
	var text strings.Builder
	for _, fact := range r.facts {
		text.WriteString("- " + fact + "\n")
	}
	return text.String(), nil
}

func work(r *results) (string, map[string]string) {
	if !r.has("Authenticate") {
		return "", nil
	}
	t := newTable("work", "SQLite", "p99", "its floor", "ratio", "PostgreSQL", "p99", "its floor", "ratio")
	for _, row := range []struct{ name, benchmark, suffix, floor string }{
		{"`POST /auth`", "Authenticate", "", "floor-req/s"},
		{"refresh", "RefreshTokens", "", "floor-req/s"},
		{"logout", "Logout", "", "floor-req/s"},
		{"login, known network", "Login", "/known-network", "floor-hash/s"},
		{"login, new networks", "Login", "/new-networks", "floor-hash/s"},
		{"login, rate limits off", "Login", "/without-limits", "floor-hash/s"},
		{"register", "Register", "", "floor-hash/s"},
		{"JWKS", "JWKS", "", "floor-req/s"},
	} {
		cells := []string{row.name}
		for _, engine := range engines {
			name := row.benchmark + "/" + engine.id + row.suffix
			cells = append(cells, r.cell(name, "req/s"), r.cell(name, "p99-ms")+" ms", r.cell(name, row.floor),
				r.ratio(name))
		}
		t.row(cells...)
	}
	return t.String(), nil
}

func roundTrips(r *results) (string, map[string]string) {
	t, found := newTable("operation", "round trips", "100 ms away", "503 at this distance"), false
	for _, row := range []struct{ name, benchmark string }{
		{"`POST /auth`", "authenticate"}, {"refresh", "refresh"}, {"logout", "logout"},
		{"login, known network", "login"}, {"login, new network", "login-new-network"}, {"register", "register"},
	} {
		name := "RoundTrips/" + row.benchmark
		found = found || r.has(name)
		t.row(row.name, r.cell(name, "round-trips"), r.cell(name, "distant-ms")+" ms",
			r.cell(name, "distant-503-%")+" %")
	}
	if !found {
		return "", nil
	}
	return t.String(), nil
}

func connections(r *results) (string, map[string]string) {
	rate := lineChart{title: "Requests a second by connections", xLabel: "connections", yLabel: "requests a second"}
	late := lineChart{title: "p99 by connections", xLabel: "connections", yLabel: "ms", logarithmic: true}
	for _, engine := range engines {
		for _, operation := range []string{"authenticate", "refresh"} {
			prefix := "Connections/" + engine.id + "/" + operation + "/connections="
			rates, p99 := line{name: operation + ", " + engine.name}, line{name: operation + ", " + engine.name}
			for _, name := range r.names {
				count, err := strconv.ParseFloat(strings.TrimPrefix(name, prefix), 64)
				if !strings.HasPrefix(name, prefix) || err != nil {
					continue
				}
				value, _ := r.median(name, "req/s")
				rates.x, rates.y = append(rates.x, count), append(rates.y, value)
				value, _ = r.median(name, "p99-ms")
				p99.x, p99.y = append(p99.x, count), append(p99.y, value)
			}
			if len(rates.x) < 2 {
				return "", nil
			}
			rate.lines, late.lines = append(rate.lines, rates), append(late.lines, p99)
		}
	}
	return image(rate.title, "performance-connections.svg") + "\n" + image(late.title, "performance-p99.svg"),
		map[string]string{"performance-connections.svg": rate.svg(), "performance-p99.svg": late.svg()}
}

// image returns the Markdown of a plot.
func image(title, file string) string { return fmt.Sprintf("![%s](%s)\n", title, file) }

func flood(r *results) (string, map[string]string) {
	chart := barChart{
		title: "p99 of POST /auth during 200 logins", yLabel: "ms", bars: []string{"quiet", "during the flood"},
	}
	t := newTable("engine", "quiet p99", "p99 in the flood", "maximum", "logins a second", "of raw hashing")
	for _, engine := range engines {
		name := "Flood/" + engine.id
		quiet, found := r.median(name, "quiet-p99-ms")
		if !found {
			return "", nil
		}
		flooded, _ := r.median(name, "p99-ms")
		chart.groups = append(chart.groups, barGroup{engine.name, []float64{quiet, flooded}})
		t.row(engine.name, r.cell(name, "quiet-p99-ms")+" ms", r.cell(name, "p99-ms")+" ms", r.cell(name, "max-ms")+" ms",
			r.cell(name, "logins/s"), r.ratio(name))
	}
	return t.String() + "\n" + image(chart.title, "performance-flood.svg"),
		map[string]string{"performance-flood.svg": chart.svg()}
}

func refusals(r *results) (string, map[string]string) {
	chart := barChart{
		title: "Refreshes a second next to refused logins", yLabel: "refreshes a second",
		bars: []string{"quiet", "one network", "new networks"},
	}
	t := newTable("engine", "refused", "refusals a second", "refreshes a second", "quiet", "processor time of a refusal",
		"bytes stored", "ratio")
	for _, engine := range engines {
		group := barGroup{name: engine.name}
		for _, from := range []string{"one-network", "new-networks"} {
			name := "Refusals/" + engine.id + "/" + from
			value, found := r.median(name, "req/s")
			if !found {
				return "", nil
			}
			quiet, _ := r.median(name, "quiet-req/s")
			if group.values == nil {
				group.values = []float64{quiet}
			}
			group.values = append(group.values, value)
			t.row(engine.name, strings.ReplaceAll(from, "-", " "), r.cell(name, "refusals/s"), r.cell(name, "req/s"),
				r.cell(name, "quiet-req/s"), r.cell(name, "cpu-us/refusal")+" µs", r.cell(name, "B/refusal"),
				r.ratio(name))
		}
		chart.groups = append(chart.groups, group)
	}
	return t.String() + "\n" + image(chart.title, "performance-refusals.svg"),
		map[string]string{"performance-refusals.svg": chart.svg()}
}

// extrapolated is how many users the growth is extrapolated to.
const extrapolated = 10_000_000

func scale(r *results) (string, map[string]string) {
	chart := lineChart{
		title:  "Rate compared to the fewest users (dashed: extrapolated)",
		xLabel: "users", yLabel: "of the rate with the fewest users",
	}
	var t *table
	var sizes [][]string
	for _, engine := range engines {
		for _, operation := range []string{"authenticate", "refresh", "login", "logout"} {
			name := "Scale/" + engine.id + "/" + operation
			l := r.growth(name)
			if len(l.x) < 2 {
				return "", nil
			}
			if l.name = operation + ", " + engine.name; operation == "authenticate" || operation == "refresh" {
				l.beyond = extrapolated
				chart.lines = append(chart.lines, l)
			}
			cells, header := []string{operation + ", " + engine.name}, []string{"requests a second"}
			size := []string{"size of the database, " + engine.name}
			for _, users := range l.x {
				header = append(header, number(users)+" users")
				cells = append(cells, r.cell(name, fmt.Sprintf("%.0f-users-req/s", users)))
				size = append(size, r.cell(name, fmt.Sprintf("%.0f-users-MiB", users))+" MiB")
			}
			if operation == "logout" {
				sizes = append(sizes, append(size, "", ""))
			}
			if t == nil {
				t = newTable(append(header, "ratio", "10,000,000 users (extrapolated)")...)
			}
			t.row(append(cells, r.ratio(name), fmt.Sprintf("%.2f", l.fit(extrapolated)))...)
		}
	}
	for _, size := range sizes {
		t.row(size...)
	}
	return t.String() + "\n" + image(chart.title, "performance-growth.svg"),
		map[string]string{"performance-growth.svg": chart.svg()}
}

// growth returns the rates by number of users, compared to the rate with the fewest users.
func (r *results) growth(name string) (l line) {
	for unit := range maps.Keys(r.values[name]) {
		if text, found := strings.CutSuffix(unit, "-users-req/s"); found {
			if users, err := strconv.ParseFloat(text, 64); err == nil {
				l.x = append(l.x, users)
			}
		}
	}
	slices.SortFunc(l.x, cmp.Compare[float64])
	for _, users := range l.x {
		value, _ := r.median(name, fmt.Sprintf("%.0f-users-req/s", users))
		l.y = append(l.y, value)
	}
	for i := len(l.y) - 1; i >= 0; i-- {
		l.y[i] /= l.y[0]
	}
	return l
}

func peers(r *results) (string, map[string]string) {
	t, found := newTable("work", "peer", "Sesame", "p99", "the peer", "its p99", "ratio"), false
	for _, peer := range []struct{ id, name string }{
		{"pocketbase", "PocketBase, SQLite"}, {"supabase", "Supabase Auth, PostgreSQL"},
	} {
		for _, operation := range []string{"authenticate", "refresh", "login"} {
			name := "Peers/" + peer.id + "/" + operation
			if r.has(name) {
				found = true
				t.row(operation, peer.name, r.cell(name, "req/s"), r.cell(name, "p99-ms")+" ms", r.cell(name, "peer-req/s"),
					r.cell(name, "peer-p99-ms")+" ms", r.ratio(name))
			}
		}
	}
	if !found {
		return "", nil
	}
	return t.String(), nil
}

// others lists the results that need no table of their own.
func others(r *results) (string, map[string]string) {
	t, found := newTable("benchmark", "results"), false
	for _, name := range r.names {
		benchmark, _, _ := strings.Cut(name, "/")
		if !slices.Contains([]string{"Start", "Purge", "Audit"}, benchmark) {
			continue
		}
		found = true
		var cells []string
		for _, unit := range slices.Sorted(maps.Keys(r.values[name])) {
			cells = append(cells, unit+" "+r.cell(name, unit))
		}
		t.row("`"+name+"`", strings.Join(cells, ", "))
	}
	if !found {
		return "", nil
	}
	return t.String(), nil
}
