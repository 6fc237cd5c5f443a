// Package conformance checks a running Sesame against the OpenAPI document, as a client. It checks the status, the
// headers and the body of every response, and what must follow from it: for example, that a session has ended after a
// logout.
//
// [Contract.Check] checks one response; the HTTP clients of the tests use it too. [Run] checks a deployment. It needs
// only a URL, and it does not delete the user that it registers. It stops at the first difference, because others may
// follow from it.
//
// Run does not provoke errors of the server. It checks 500 and 503 only if they happen.
package conformance
