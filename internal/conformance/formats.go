package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
)

// JSON returns the report as a JSON object.
func (r *Report) JSON() ([]byte, error) {
	type checked struct {
		Operation string `json:"operation,omitempty"`
		Check     string `json:"check"`
		Status    Status `json:"status"`
		Reason    string `json:"reason,omitempty"` // why it failed or was skipped
		Request   string `json:"request,omitempty"`
		Response  string `json:"response,omitempty"`
	}
	document := struct {
		Account string    `json:"account,omitempty"`
		Passed  int       `json:"passed"`
		Failed  int       `json:"failed"`
		Skipped int       `json:"skipped"`
		Checks  []checked `json:"checks"`
	}{Account: r.Account, Passed: r.Count(Passed), Failed: r.Count(Failed), Skipped: r.Count(Skipped)}
	for _, result := range r.Results {
		one := checked{
			Operation: result.Operation, Check: result.Check, Status: result.Status, Reason: result.Reason(),
		}
		if breach, ok := errors.AsType[*Breach](result.Err); ok {
			one.Request, one.Response = breach.Call, printable(breach.Response)
		}
		document.Checks = append(document.Checks, one)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document)
	return text.Bytes(), err
}

// JUnit returns the report as a JUnit XML document. The class of a test case is the operation.
func (r *Report) JUnit() ([]byte, error) {
	type outcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
	type testCase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Time    string   `xml:"time,attr"` // seconds
		Failure *outcome `xml:"failure"`   // a breach
		Error   *outcome `xml:"error"`     // another error
		Skipped *outcome `xml:"skipped"`
	}
	type testSuite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	suite := testSuite{Name: "sesame contract-test", Tests: len(r.Results)}
	var seconds float64
	for _, result := range r.Results {
		one := testCase{Class: result.Operation, Name: result.Check, Time: fmt.Sprintf("%.3f", result.Took.Seconds())}
		if one.Class == "" {
			one.Class = "deployment"
		}
		seconds += result.Took.Seconds()
		_, breach := errors.AsType[*Breach](result.Err)
		switch {
		case result.Status == Skipped:
			one.Skipped = &outcome{Message: result.Reason()}
			suite.Skipped++
		case breach:
			one.Failure = &outcome{Message: result.Reason(), Type: "breach", Text: printable(result.Err.Error())}
			suite.Failures++
		case result.Status == Failed:
			one.Error = &outcome{Message: result.Reason(), Type: "error"}
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, one)
	}
	suite.Time = fmt.Sprintf("%.3f", seconds)
	document, err := xml.MarshalIndent(struct {
		XMLName xml.Name  `xml:"testsuites"`
		Suite   testSuite `xml:"testsuite"`
	}{Suite: suite}, "", "  ")
	return append([]byte(xml.Header), append(document, '\n')...), err
}
