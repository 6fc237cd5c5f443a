package conformance_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Every operation of the OpenAPI document has checks.
func TestEveryOperationIsCovered(t *testing.T) {
	for _, operation := range servertest.Document().Operations() {
		if !conformance.Covered(operation.ID) {
			t.Errorf("%s has no checks: add them to the list of operations", operation.ID)
		}
	}
}

// named returns the results with a status, by name.
func named(report *conformance.Report, status conformance.Status) map[string]conformance.Result {
	results := make(map[string]conformance.Result)
	for _, result := range report.Results {
		if result.Status == status {
			results[result.Name()] = result
		}
	}
	return results
}

func names(results map[string]conformance.Result) []string { return slices.Sorted(maps.Keys(results)) }

// A skipped operation is never called. What needs it is skipped for this reason, and the rest passes.
func TestSkip(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for _, operation := range servertest.Document().Operations() {
		t.Run(operation.ID, func(t *testing.T) {
			t.Parallel()
			testSkip(t, s, operation.ID)
		})
	}
}

func testSkip(t *testing.T, s *servertest.Server, operation string) {
	t.Helper()
	hide := func(e *exchange) {
		method, path, _ := strings.Cut(e.call, " ")
		if servertest.Document().OperationAt(method, path) == operation {
			t.Errorf("%s is called", operation)
		}
	}
	to := target(s, proxy(t, s.URL, hide))
	to.Skip = []string{operation}
	report, err := run(t.Context(), t, to)
	if err != nil {
		t.Error(err)
	}
	skipped := named(report, conformance.Skipped)
	for name, result := range skipped {
		switch result.Reason() {
		case operation + " is skipped":
		case "it needs an account, and register created none":
			if operation != "register" {
				t.Errorf("no account for %s", name)
			}
		default:
			isExpected := slices.ContainsFunc(emailed, func(id string) bool { return name == id+": success" })
			if name != "login: rate limits" && !isExpected {
				t.Errorf("%s is skipped: %s", name, result.Reason())
			}
		}
	}
	for name := range named(report, conformance.Passed) {
		if strings.HasPrefix(name, operation+":") {
			t.Errorf("%s passed", name)
		}
	}
	if least := 15; report.Count(conformance.Passed) < least {
		t.Errorf("%s, want at least %d passed", report.Summary(), least)
	}
	if operation == "logout" {
		want := []string{
			"authenticate: after a logout", "confirmEmailChange: success", "login: rate limits",
			"logout: invalid bodies", "logout: other methods", "logout: success", "logout: wrong token",
			"refreshTokens: after a logout", "undoEmailChange: success", "verifyEmail: success",
		}
		if got := names(skipped); !slices.Equal(got, want) {
			t.Errorf("skipped %q, want %q", got, want)
		}
	}
}

// brokenTwice is a deployment with two independent breaches: the keys and a forgotten password. It
// puts characters into the response that a terminal or XML must not get.
func brokenTwice(t *testing.T, s *servertest.Server) conformance.Target {
	t.Helper()
	leak, secret := reveal(forgot, 202), swap(jwks, `"kid":`, `"\u009b]]>":"x","kid":`)
	return target(s, proxy(t, s.URL, func(e *exchange) {
		leak(e)
		secret(e)
	}))
}

// With KeepGoing, a run finds independent breaches, and skips what needs an operation that failed.
// Without it, the first breach ends the run.
func TestKeepGoing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		to := brokenTwice(t, s)
		first, _ := run(t.Context(), t, to)
		if got := names(named(first, conformance.Failed)); !slices.Equal(got, []string{"getJWKS: keys"}) {
			t.Errorf("failed %q", got)
		}
		if result := named(first, conformance.Skipped)["login: success"]; result.Reason() != "the run ended before" {
			t.Errorf("after the end: %+v", result)
		}
		if first.Account != "" {
			t.Error("the run went on")
		}

		to.KeepGoing = true
		all, _ := run(t.Context(), t, to)
		want := []string{"forgotPassword: same response for every email", "getJWKS: keys"}
		if got := names(named(all, conformance.Failed)); !slices.Equal(got, want) {
			t.Errorf("failed %q, want %q", got, want)
		}
		skipped := named(all, conformance.Skipped)
		want = []string{
			"authenticate: verification by a service", "confirmEmailChange: success", "login: rate limits",
			"undoEmailChange: success", "verifyEmail: success",
		}
		if got := names(skipped); !slices.Equal(got, want) {
			t.Errorf("skipped %q, want %q", got, want)
		}
		if got := skipped["authenticate: verification by a service"].Reason(); got != `the check "getJWKS: keys" failed` {
			t.Errorf("the reason is %q", got)
		}
		summary := fmt.Sprintf("failed: 2 of %d checks, 5 skipped", len(first.Results))
		if all.Summary() != summary {
			t.Errorf("%s, want %s", all.Summary(), summary)
		}
	})
}

// An error that is not a breach ends the run, also with KeepGoing.
func TestKeepGoingNeedsResponses(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	to := target(s, proxy(t, s.URL, on(register, func(*exchange) { panic(http.ErrAbortHandler) })))
	to.KeepGoing = true
	report, _ := run(t.Context(), t, to)
	if failed := named(report, conformance.Failed); len(failed) != 1 || report.Account != "" {
		t.Errorf("failed %q, account %q", names(failed), report.Account)
	}
	suite := parseJUnit(t, report)
	if suite.Errors != 1 || suite.Failures != 0 {
		t.Errorf("%d errors and %d failures", suite.Errors, suite.Failures)
	}
}

// The JSON and JUnit documents contain every check, the breaches and the reasons of skipped checks.
func TestDocuments(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		to := brokenTwice(t, s)
		to.KeepGoing = true
		report, _ := run(t.Context(), t, to)

		encoded, err := report.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Account                 string
			Passed, Failed, Skipped int
			Checks                  []struct{ Operation, Check, Status, Reason, Request, Response string }
		}
		decoder := json.NewDecoder(strings.NewReader(string(encoded)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&document); err != nil {
			t.Fatal(err)
		}
		if document.Account != report.Account || document.Passed != report.Count(conformance.Passed) ||
			document.Failed != 2 || document.Skipped != 5 || len(document.Checks) != len(report.Results) {
			t.Errorf("the JSON document differs from %s:\n%s", report.Summary(), encoded)
		}
		suite := parseJUnit(t, report)
		if suite.Tests != len(report.Results) || suite.Failures != 2 || suite.Errors != 0 || suite.Skipped != 5 ||
			len(suite.Cases) != len(report.Results) {
			t.Errorf("the JUnit document differs from %s: %+v", report.Summary(), suite)
		}
		for i, result := range report.Results {
			inJSON, inXML := document.Checks[i], suite.Cases[i]
			_, path, _ := strings.Cut(jwks, " ")
			isKeys := result.Name() == "getJWKS: keys"
			if inJSON.Operation != result.Operation || inJSON.Check != result.Check || inJSON.Reason != result.Reason() ||
				inJSON.Status != string(result.Status) || isKeys && (inJSON.Request != "GET "+to.URL+path ||
				!strings.Contains(inJSON.Response, "200 OK")) {
				t.Errorf("JSON: %+v, want %+v", inJSON, result)
			}
			var message string
			switch {
			case inXML.Failure != nil:
				message = inXML.Failure.Message
			case inXML.Skipped != nil:
				message = inXML.Skipped.Message
			}
			if inXML.Class != result.Operation && inXML.Class != "deployment" || inXML.Name != result.Check ||
				message != result.Reason() || (inXML.Failure != nil) != (result.Status == conformance.Failed) ||
				(inXML.Skipped != nil) != (result.Status == conformance.Skipped) ||
				isKeys && !strings.Contains(inXML.Failure.Text, "Response:\n\n200 OK") {
				t.Errorf("JUnit: %+v, want %+v", inXML, result)
			}
		}
		if text := string(encoded); strings.Contains(text, "\u009b") || !strings.Contains(text, "]]>") {
			t.Errorf("the JSON document has no text of the response, or a control character:\n%s", text)
		}
	})
}

// A junitSuite is what CI systems read of a JUnit document.
type junitSuite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Cases    []struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"`
		Failure *junitOutcome `xml:"failure"`
		Error   *junitOutcome `xml:"error"`
		Skipped *junitOutcome `xml:"skipped"`
	} `xml:"testcase"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// parseJUnit parses a JUnit document. It allows only the elements and attributes of JUnit.
func parseJUnit(t *testing.T, report *conformance.Report) junitSuite {
	t.Helper()
	document, err := report.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	attributes := map[string][]string{
		"testsuites": nil,
		"testsuite":  {"name", "tests", "failures", "errors", "skipped", "time"},
		"testcase":   {"classname", "name", "time"},
		"failure":    {"message", "type"},
		"error":      {"message", "type"},
		"skipped":    {"message"},
	}
	var inside []string
	decoder := xml.NewDecoder(strings.NewReader(string(document)))
	for {
		token, err := decoder.Token()
		if err == io.EOF { //nolint:errorlint // Token returns it unwrapped
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = append(inside, token.Name.Local)
			for i, attribute := range token.Attr {
				if !slices.Contains(attributes[token.Name.Local], attribute.Name.Local) || slices.ContainsFunc(token.Attr[:i],
					func(other xml.Attr) bool { return other.Name == attribute.Name }) {
					t.Errorf("attribute %s of %q", attribute.Name.Local, inside)
				}
			}
			if len(inside) < 4 && token.Name.Local != []string{"testsuites", "testsuite", "testcase"}[len(inside)-1] ||
				len(inside) == 4 && !slices.Contains([]string{"failure", "error", "skipped"}, token.Name.Local) ||
				len(inside) > 4 {
				t.Errorf("element %q", inside)
			}
		case xml.EndElement:
			inside = inside[:len(inside)-1]
		case xml.CharData:
			if len(inside) != 4 && strings.TrimSpace(string(token)) != "" {
				t.Errorf("text in %q: %q", inside, token)
			}
		}
	}
	var parsed struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(document, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.Suite
}
