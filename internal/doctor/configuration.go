package doctor

import "context"

// checkConfiguration reports settings that are valid, but may not be intended.
func checkConfiguration(_ context.Context, e *examination) Finding {
	return orOK(e.Questionable, ok("the settings are valid"))
}
