package conformance

import "net/http"

var refreshTokensChecks = []check{
	{operation: "refreshTokens", name: "success", run: checkRefresh},
	{operation: "refreshTokens", name: "same token twice", run: checkRefreshTwice},
	{operation: "refreshTokens", name: "old token", run: checkRefreshReuse},
	{operation: "authenticate", name: "after the use of an old refresh token", run: checkAccessAfterReuse},
	{operation: "refreshTokens", name: "wrong tokens", run: checkRefreshRefuses},
}

func refresh(token string) call { return post("/auth/refresh-tokens", "refreshToken", token) }

// refreshed exchanges the refresh token of a session.
func (s *suite) refreshed(t tokens) tokens {
	return tokensOf(s.expect(http.StatusOK, refresh(t.refresh)))
}

func (s *suite) requireRefreshEnded(t tokens, what string) {
	r := s.send(refresh(t.refresh))
	s.require(r.status == http.StatusUnauthorized, "the refresh token must be refused: %s", what)
}

func checkRefresh(s *suite) {
	first := s.logIn()
	second := s.refreshed(first)
	s.require(second.refresh != first.refresh, "a refresh must return a new refresh token")
	s.refreshed(second)
}

func checkRefreshRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh("x"))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(s.logIn().access))
}

// checkRefreshTwice requires that the previous refresh token returns the same new one during the
// grace period. Without a grace period, it revokes the session.
func checkRefreshTwice(s *suite) {
	first := s.logIn()
	second := s.refreshed(first)
	again := s.send(refresh(first.refresh))
	if again.status == http.StatusUnauthorized {
		s.requireRefreshEnded(second, "a used refresh token was used again")
		return
	}
	s.require(again.status == http.StatusOK && again.text("refreshToken") == second.refresh,
		"the same refresh token must return the same new one")
	s.refreshed(second)
}

// checkRefreshReuse requires that the use of an old refresh token revokes the session.
func checkRefreshReuse(s *suite) {
	first := s.logIn()
	third := s.refreshed(s.refreshed(first))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(first.refresh))
	s.requireRefreshEnded(third, "an old refresh token was used again")
}

func checkAccessAfterReuse(s *suite) {
	first := s.logIn()
	third := s.used(s.refreshed(s.refreshed(first)))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(first.refresh))
	s.requireAccessEnded(third, "an old refresh token was used again")
}
