package mail

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// security is how the connection to the mail server is protected.
type security int

const (
	startTLS    security = iota // smtp://: TLS after STARTTLS (RFC 3207)
	implicitTLS                 // smtps://: TLS from the first byte (RFC 8314, section 3.3)
	loopback                    // smtp://…?tls=off: none; the server must be on this machine
)

// server is a parsed SMTP URL.
type server struct {
	host, port string
	user, pass string // both empty: no AUTH
	security   security
}

// parseServer parses an SMTP URL. Its errors do not quote the URL: if the password
// is not escaped, any part of the URL may be a part of the password.
func parseServer(raw string) (server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return server{}, errors.New("the SMTP URL must look like smtp://user:password@host:587, " +
			"with special characters of the password percent-encoded")
	}
	if (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return server{}, errors.New("the SMTP URL must end after the host; " +
			"percent-encode /, ? and # in the password")
	}

	s := server{host: u.Hostname(), port: u.Port()}
	defaultPort := "587"
	switch u.Scheme {
	case "smtp":
		s.security = startTLS
	case "smtps":
		s.security, defaultPort = implicitTLS, "465"
	default:
		return server{}, errors.New("the SMTP URL must start with smtp:// (STARTTLS) or smtps:// (TLS)")
	}
	if s.port == "" {
		s.port = defaultPort
	}

	switch {
	case u.RawQuery == "":
	case u.RawQuery != "tls=off":
		return server{}, errors.New("the SMTP URL has an unknown option; tls=off is the only one")
	case s.security == implicitTLS:
		return server{}, errors.New("the SMTP URL must not combine smtps and tls=off")
	case !isLoopback(s.host):
		return server{}, errors.New("tls=off is for a mail server on this machine only " +
			"(127.0.0.1, ::1 or localhost), because emails contain reset links")
	default:
		s.security = loopback
	}

	if u.User != nil {
		s.user = u.User.Username()
		s.pass, _ = u.User.Password()
		if s.user == "" || s.pass == "" || hasControl(s.user) || hasControl(s.pass) {
			return server{}, errors.New("the SMTP URL must contain both a user and a password, or neither, " +
				"without control characters")
		}
	}
	return s, nil
}

// isLoopback reports whether host is this machine (RFC 6761, section 6.3, for localhost).
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
