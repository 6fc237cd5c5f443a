// Package conformance holds a running Sesame against the contract, from outside, as a client sees it: every answer's
// status, headers and body, and what must follow from it, such as that a session which was logged out is over.
//
// Check, which judges one answer, is also what the tests' own clients go by. Run needs nothing of a deployment but its
// URL, and leaves in it the account that it made. It tells of the first breach and stops there: what comes after may
// follow from it.
//
// What needs a fault of the deployment is not provoked: 500 and 503 are seen only where they happen by themselves.
package conformance
