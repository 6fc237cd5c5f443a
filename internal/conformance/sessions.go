package conformance

import (
	"net/http"
	"slices"
	"strings"
)

var listSessionsChecks = []check{
	{operation: "listSessions", name: "success", run: checkListSessions},
}

var revokeSessionChecks = []check{
	{operation: "revokeSession", name: "success", run: checkRevokeSession},
	{operation: "revokeSession", name: "unknown session", run: checkRevokeRefuses},
	{operation: "refreshTokens", name: "after the end of the session", run: checkRefreshAfterRevoke},
}

var logoutEverywhereChecks = []check{
	{operation: "logoutEverywhere", name: "success", run: checkLogoutEverywhere},
	{operation: "logoutEverywhere", name: "except the current session", run: checkLogoutOthers},
}

func listSessions(access string) call {
	return call{method: http.MethodGet, path: "/auth/sessions", bearer: access}
}

func revokeSession(access, id string) call {
	return call{method: http.MethodDelete, path: "/auth/sessions/" + id, bearer: access}
}

func logoutEverywhere(access string, keepCurrent bool) call {
	return postAs(access, "/auth/logout-everywhere", "keepCurrent", keepCurrent)
}

// sessionID returns the id of the session of an access token.
func (s *suite) sessionID(t tokens) string {
	return s.expect(http.StatusOK, authenticate(t.access)).text("sessionId")
}

// checkListSessions requires that the list contains the current session first, because it is the
// newest, and another one.
func checkListSessions(s *suite) {
	other := s.sessionID(s.logIn())
	t := s.logIn()
	current := s.sessionID(t)
	r := s.expect(http.StatusOK, listSessions(t.access))
	var ids, currentIDs []string
	list, _ := r.body["sessions"].([]any)
	for _, entry := range list {
		session, _ := entry.(map[string]any)
		id, _ := session["id"].(string)
		ids = append(ids, id)
		if isCurrent, _ := session["current"].(bool); isCurrent {
			currentIDs = append(currentIDs, id)
		}
	}
	s.require(slices.Equal(currentIDs, []string{current}) && ids[0] == current,
		"the first session must be the current one")
	s.require(slices.Contains(ids, other), "the list must contain the other session")
}

func checkRevokeSession(s *suite) {
	other, t := s.logIn(), s.logIn()
	s.expect(http.StatusOK, revokeSession(t.access, s.sessionID(other)))
	s.requireAccessEnded(other, "its session was ended")
	s.used(t)
}

// checkRevokeRefuses requires that an unknown id, a malformed one and that of a session that has
// ended return the same response.
func checkRevokeRefuses(s *suite) {
	other, t := s.logIn(), s.logIn()
	ended := s.sessionID(other)
	s.expect(http.StatusOK, revokeSession(t.access, ended))
	first := s.refuse(http.StatusNotFound, "not_found", revokeSession(t.access, "00000000-0000-4000-8000-000000000000"))
	for _, id := range []string{ended, "x"} {
		r := s.refuse(http.StatusNotFound, "not_found", revokeSession(t.access, id))
		s.require(alike(r, first), "every session that cannot be ended must return the same response")
	}
	s.refuse(http.StatusBadRequest, "validation_failed", revokeSession(t.access, strings.Repeat("a", 65)))
}

func checkRefreshAfterRevoke(s *suite) {
	other, t := s.logIn(), s.logIn()
	s.expect(http.StatusOK, revokeSession(t.access, s.sessionID(other)))
	s.requireRefreshEnded(other, "its session was ended")
	s.refreshed(t)
}

func checkLogoutEverywhere(s *suite) {
	other, t := s.used(s.logIn()), s.used(s.logIn())
	s.expect(http.StatusOK, logoutEverywhere(t.access, false))
	s.requireAccessEnded(other, "the user was logged out everywhere")
	s.requireAccessEnded(t, "the user was logged out everywhere")
}

func checkLogoutOthers(s *suite) {
	other, t := s.used(s.logIn()), s.logIn()
	s.expect(http.StatusOK, logoutEverywhere(t.access, true))
	s.requireAccessEnded(other, "the user was logged out everywhere else")
	s.refreshed(s.used(t))
}
