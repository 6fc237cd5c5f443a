package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

const (
	alertsPath    = "../../deploy/prometheus/alerts.yaml"
	dashboardPath = "../../deploy/grafana/dashboard.json"
)

// alert is an alert rule.
type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	readYAML(t, alertsPath, &file)
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// panel is a panel of the dashboard.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
}

func dashboard(t *testing.T) (panels []panel, variables []string) {
	t.Helper()
	content, err := os.ReadFile(dashboardPath)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Panels     []panel
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, variable := range file.Templating.List {
		variables = append(variables, variable.Definition)
	}
	return file.Panels, variables
}

// interpolate replaces the variables of Grafana in an expression.
var interpolate = strings.NewReplacer("$__rate_interval", "5m", "$job", "sesame", "$instance", ".+").Replace

// scrape has the metrics of servers: their labels, and the values of these.
type scrape map[string]map[string]map[string]bool

var (
	seriesOf = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? `)
	labelOf  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// add adds the metrics of a server, as Prometheus stores them.
func (s scrape) add(text string) {
	add := func(metric, label, value string) {
		if s[metric] == nil {
			s[metric] = make(map[string]map[string]bool)
		}
		if s[metric][label] == nil {
			s[metric][label] = make(map[string]bool)
		}
		s[metric][label][value] = true
	}
	for line := range strings.Lines(text) {
		if series := seriesOf.FindStringSubmatch(line); series != nil {
			add(series[1], "job", "sesame")
			add(series[1], "instance", "")
			for _, label := range labelOf.FindAllStringSubmatch(series[2], -1) {
				add(series[1], label[1], label[2])
			}
		}
	}
}

// scraped returns the metrics of a server of each engine after some traffic, and the one that
// Prometheus adds.
func scraped(t *testing.T) scrape {
	t.Helper()
	s := scrape{"up": {"job": {"sesame": true}, "instance": {"": true}}}
	files := newTLSFiles(t)
	for _, engine := range databasetest.Engines {
		server := servertest.Start(t, engine, servertest.Options{
			Throttle: true, RefreshGrace: -1, TLSCert: files.cert, TLSKey: files.key, Base: files.transport(),
		})
		email := server.NewUser(t)
		tokens := server.Login(t, email)
		server.Refresh(t, tokens.Refresh)
		server.TryRefresh(t, tokens.Refresh) // reused
		server.ForgotPassword(t, email)
		server.ResetPassword(t, "x", "an even better horse")
		server.PasskeyLogin(t, servertest.UnknownAssertion(t))
		for range 11 {
			server.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		}
		s.add(server.Metrics(t))
	}
	for _, id := range regexp.MustCompile(`(?m)^ +operationId: (\w+)`).FindAllSubmatch(sesame.OpenAPI, -1) {
		for _, suffix := range []string{"bucket", "count", "sum"} {
			s["sesame_http_request_duration_seconds_"+suffix]["operation"][string(id[1])] = true
		}
	}
	return s
}

var (
	selector = regexp.MustCompile(`\b((?:sesame|go|process)_\w+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring) \(([^)]*)\)`)
	legend   = regexp.MustCompile(`\{\{(?:\s*\$labels\.)?(\w+)\s*\}\}`)
	plain    = regexp.MustCompile(`^[\w -]+$`) // a value, and not a regular expression
)

// check reports every name and value in an expression that servers do not have. used are the labels of
// its result that a text uses.
func (s scrape) check(t *testing.T, where, expression string, used []string) {
	t.Helper()
	selectors := selector.FindAllStringSubmatch(expression, -1)
	if len(selectors) == 0 {
		t.Errorf("%s: no metric in %s", where, expression)
	}
	known := make(map[string]bool)
	for _, selected := range selectors {
		labels := s[selected[1]]
		if labels == nil {
			t.Errorf("%s: there is no metric %s", where, selected[1])
		}
		for label := range labels {
			known[label] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(selected[2], -1) {
			if labels[m[1]] == nil {
				t.Errorf("%s: %s has no label %s", where, selected[1], m[1])
			}
			for value := range strings.SplitSeq(m[3], "|") {
				if m[1] != "status" && plain.MatchString(value) && !labels[m[1]][value] {
					t.Errorf("%s: %s never has %s=%q", where, selected[1], m[1], value)
				}
			}
		}
	}
	for _, group := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(group[1], ",") {
			used = append(used, strings.TrimSpace(label))
		}
	}
	for _, label := range used {
		if !known[label] {
			t.Errorf("%s: no metric has the label %s", where, label)
		}
	}
}

// The alerts and the dashboard use only metrics, labels and values that the server has.
func TestMonitoringUsesRealMetrics(t *testing.T) {
	s := scraped(t)
	labelsIn := func(text string) (used []string) {
		for _, match := range legend.FindAllStringSubmatch(text, -1) {
			used = append(used, match[1])
		}
		return used
	}
	for _, a := range alerts(t) {
		s.check(t, a.Alert, a.Expr, labelsIn(strings.Join(slices.Collect(maps.Values(a.Annotations)), " ")))
	}
	panels, variables := dashboard(t)
	for _, p := range panels {
		for _, target := range p.Targets {
			s.check(t, p.Title, interpolate(target.Expr), labelsIn(target.LegendFormat))
		}
	}
	for _, definition := range variables {
		if definition != "" { // label_values(series, label)
			s.check(t, definition, interpolate(definition), nil)
		}
	}
}

// The pipelines of the collector consist of the parts that are configured.
func TestCollector(t *testing.T) {
	var config struct {
		Receivers, Processors, Exporters map[string]any
		Service                          struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	readYAML(t, "../../deploy/otel-collector.yaml", &config)
	used := make(map[string]bool)
	for name, pipeline := range config.Service.Pipelines {
		for _, parts := range []struct {
			names      []string
			configured map[string]any
		}{
			{pipeline.Receivers, config.Receivers}, {pipeline.Processors, config.Processors},
			{pipeline.Exporters, config.Exporters},
		} {
			for _, part := range parts.names {
				used[part] = true
				if _, found := parts.configured[part]; !found {
					t.Errorf("%s uses %s, which is not configured", name, part)
				}
			}
		}
	}
	configured := len(config.Receivers) + len(config.Processors) + len(config.Exporters)
	if configured != len(used) || configured == 0 {
		t.Errorf("%d parts are configured, and %d are used", configured, len(used))
	}
}

// sesame_ready follows the checks of the database.
func TestReadyMetric(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		if ready, found := s.Metric(t, "sesame_ready"); !found || ready != 1 {
			t.Errorf("sesame_ready is %v (%v)", ready, found)
		}
		s.CloseDatabase(t)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if ready, _ := s.Metric(t, "sesame_ready"); ready == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("sesame_ready stays 1 without a database")
			}
		}
	})
}

// Each alert has a severity, a summary, a description, a remedy, and a test of promtool.
func TestAlerts(t *testing.T) {
	tests, err := os.ReadFile(filepath.Join(filepath.Dir(alertsPath), "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range alerts(t) {
		if seen[a.Alert] || a.Labels["severity"] != "critical" && a.Labels["severity"] != "warning" {
			t.Errorf("%s: twice, or without a severity", a.Alert)
		}
		seen[a.Alert] = true
		for _, name := range []string{"summary", "description", "remedy"} {
			if a.Annotations[name] == "" {
				t.Errorf("%s has no %s", a.Alert, name)
			}
		}
		if !strings.Contains(string(tests), fmt.Sprintf("alertname=%q", a.Alert)) {
			t.Errorf("%s has no test", a.Alert)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d alerts", len(seen))
	}
}

// Each panel has a title, a description, an expression and a place of its own.
func TestDashboard(t *testing.T) {
	panels, _ := dashboard(t)
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for _, p := range panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s has no description or no expression", p.Title)
		}
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s is outside of the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s overlaps %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if len(ids) < 30 {
		t.Errorf("only %d panels", len(ids))
	}
}

// promtool accepts the alerts, their tests, the expressions of the dashboard, and the metrics.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if promtool, err = filepath.Abs("../../.tools/promtool"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(promtool); err != nil {
			t.Skip("promtool is missing: .ci/setup fetches it from Debian's package prometheus")
		}
	}
	type rule struct{ Record, Expr string }
	type group struct {
		Name  string
		Rules []rule
	}
	all := group{Name: "dashboard"}
	panels, _ := dashboard(t)
	for _, p := range panels {
		for i, target := range p.Targets {
			all.Rules = append(all.Rules, rule{fmt.Sprintf("panel_%d_%d", p.ID, i), interpolate(target.Expr)})
		}
	}
	expressions, err := yaml.Marshal(map[string][]group{"groups": {all}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, expressions, 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(filepath.Dir(alertsPath))
	if err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{
		{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}, {"check", "rules", file},
	} {
		command := exec.CommandContext(t.Context(), promtool, arguments...)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	command.Stdin = strings.NewReader(servertest.Start(t, databasetest.SQLite, servertest.Options{}).Metrics(t))
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) { // 3: it complains about names
		t.Errorf("promtool check metrics: %v\n%s", err, output)
	}
	if ours := regexp.MustCompile(`(?m)^(sesame|go_sql)_.*$`).FindAllString(string(output), -1); len(ours) > 0 {
		t.Errorf("promtool check metrics: %s", strings.Join(ours, "\n"))
	}
}
