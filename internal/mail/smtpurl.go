package mail

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// security says what protects the connection to the mail server.
type security int

const (
	startTLS    security = iota // smtp://: TLS after STARTTLS, never without (RFC 3207)
	implicitTLS                 // smtps://: TLS from the first byte (RFC 8314 §3.3)
	loopback                    // smtp://…?tls=off: none, and the peer must be this machine
)

// server is what an SMTP URL says.
type server struct {
	host, port string
	user, pass string // both empty: no AUTH
	security   security
}

// parseServer reads an SMTP URL. Its errors quote no part of the URL: in one
// whose password is not escaped, any part may be a piece of the password.
func parseServer(raw string) (server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return server{}, errors.New("mail: the SMTP URL must look like smtp://user:password@host:587, " +
			"with special characters of the password percent-encoded")
	}
	if (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return server{}, errors.New("mail: the SMTP URL goes on after the host; " +
			"a /, ? or # in the password must be percent-encoded")
	}

	s := server{host: u.Hostname(), port: u.Port()}
	defaultPort := "587"
	switch u.Scheme {
	case "smtp":
		s.security = startTLS
	case "smtps":
		s.security, defaultPort = implicitTLS, "465"
	default:
		return server{}, errors.New("mail: the SMTP URL must begin with smtp:// (STARTTLS) or smtps:// (TLS)")
	}
	if s.port == "" {
		s.port = defaultPort
	}

	switch {
	case u.RawQuery == "":
	case u.RawQuery != "tls=off":
		return server{}, errors.New("mail: the SMTP URL has an unknown option; tls=off is the only one")
	case s.security == implicitTLS:
		return server{}, errors.New("mail: the SMTP URL says smtps and tls=off at once")
	case !isLoopback(s.host):
		return server{}, errors.New("mail: tls=off is for a mail server on this machine only " +
			"(127.0.0.1, ::1 or localhost); mails hold links that open accounts")
	default:
		s.security = loopback
	}

	if u.User != nil {
		s.user = u.User.Username()
		s.pass, _ = u.User.Password()
		if s.user == "" || s.pass == "" || hasControl(s.user) || hasControl(s.pass) {
			return server{}, errors.New("mail: the SMTP URL must hold both a user and a password, or neither, " +
				"without control characters")
		}
	}
	return s, nil
}

// isLoopback tells whether host names this machine (RFC 6761 §6.3 for localhost).
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
