package conformance

import "net/http"

var logoutChecks = []check{
	{operation: "logout", name: "success", run: checkLogout},
	{operation: "logout", name: "wrong token", run: checkLogoutRefuses},
	{operation: "refreshTokens", name: "after a logout", run: checkRefreshAfterLogout},
	{operation: "authenticate", name: "after a logout", run: checkAccessAfterLogout},
}

func logout(token string) call { return post("/auth/logout", "refreshToken", token) }

// checkLogout requires that a logout can be repeated.
func checkLogout(s *suite) {
	t := s.logIn()
	s.expect(http.StatusOK, logout(t.refresh))
	s.expect(http.StatusOK, logout(t.refresh))
}

func checkLogoutRefuses(s *suite) {
	s.refuse(http.StatusBadRequest, "invalid_refresh_token", logout("x"))
}

// checkRefreshAfterLogout requires that a logout ends its session, but no other one.
func checkRefreshAfterLogout(s *suite) {
	ended, other := s.logIn(), s.logIn()
	s.expect(http.StatusOK, logout(ended.refresh))
	s.requireRefreshEnded(ended, "the session was logged out")
	s.refreshed(other)
}

func checkAccessAfterLogout(s *suite) {
	ended, other := s.used(s.logIn()), s.logIn()
	s.expect(http.StatusOK, logout(ended.refresh))
	s.requireAccessEnded(ended, "the session was logged out")
	s.used(other)
}
