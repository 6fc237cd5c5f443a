package conformance

// Covered reports whether a run has checks of an operation.
func Covered(id string) bool {
	for _, operation := range operations {
		if operation.id == id && len(operation.checks) > 0 && operation.checks[0].operation == id {
			return true
		}
	}
	return false
}

// TOTPCode returns the code of a time step.
var TOTPCode = totpCode
