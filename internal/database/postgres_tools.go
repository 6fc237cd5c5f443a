package database

import (
	"errors"
	"net/url"
	"strings"
)

// ToolURL returns a database URL of PostgreSQL for pg_dump, pg_restore and psql, without the
// password, which other users of the machine could see in the list of processes. It also leaves out
// the parameters that only this program knows.
func ToolURL(databaseURL string) (string, error) {
	parsed, err := url.Parse(databaseURL)
	if err != nil {
		return "", errors.New("the database URL is not valid") // without the URL, which has a password
	}
	if parsed.User != nil {
		parsed.User = url.User(parsed.User.Username())
	}
	parameters := parsed.Query()
	for name := range parameters {
		switch {
		case strings.HasPrefix(name, "pool_"), name == "password", name == "sslpassword",
			name == "default_query_exec_mode", name == "statement_cache_capacity", name == "description_cache_capacity":
			parameters.Del(name)
		}
	}
	parsed.RawQuery = parameters.Encode()
	return parsed.String(), nil
}
