// Package conformance checks a running Sesame server against the OpenAPI document.
//
// [Run] checks a deployment, of which it needs only the URL. Like a client, it sends requests and
// checks the status, the headers and the body of every response. It also checks that requests have
// an effect: for example, that a session has ended after a logout.
//
// Run stops at the first difference, because it may cause others, or goes on with the checks that
// do not need what failed. At the end it deletes the account that it registered. It does not
// provoke errors of the server, and checks 500 and 503 only if they happen.
//
// The checks of an operation are in a file with its name, or in that of its area, such as factors
// or passkeys. To add an operation, write its checks and add them to the list of operations. A
// check that calls an operation which is skipped, or which failed, is skipped by itself: it need
// not declare what it calls, except what undoes its changes.
//
// The package has its own authenticator app and its own authenticator for passkeys. They do not use
// the code of the server, so that a run finds errors in it. An authenticator app is removed after
// the check that added it, because other checks log in with the password only. A run makes four
// wrong codes and about 30 changes of factors, which is what the rate limits of an account allow.
//
// [Contract.Check] checks one response. The HTTP clients of the tests use it too.
package conformance
