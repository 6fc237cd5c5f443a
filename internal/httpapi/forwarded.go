package httpapi

import (
	"net/netip"
	"strings"
)

// forwardedAddresses returns the addresses in a Forwarded header (RFC 7239, section 4), one for
// each element, the nearest last. An element that names no IP address has the zero Addr: it has no
// parameter for, or its value is unknown or an obfuscated identifier.
//
// If the header is malformed anywhere, it returns one zero Addr. A client may have sent the
// beginning of the header, for example a quote that a proxy's own quote would close.
func forwardedAddresses(header string) []netip.Addr {
	malformed := []netip.Addr{{}}
	var addresses []netip.Addr
	for rest := header; ; rest = rest[1:] { // skip the comma
		address, after, ok := forwardedElement(rest)
		if !ok {
			return malformed
		}
		addresses = append(addresses, address)
		if rest = after; rest == "" {
			return addresses
		}
	}
}

// forwardedElement parses parameters up to a comma or the end, and returns the address of the one
// that is called for.
func forwardedElement(text string) (address netip.Addr, rest string, ok bool) {
	seen := make(map[string]bool)
	for rest = text; ; rest = rest[1:] { // skip the semicolon
		rest = skipSpace(rest)
		if rest != "" && rest[0] != ';' && rest[0] != ',' {
			var name, value string
			if name, rest, ok = cutToken(rest); !ok || !strings.HasPrefix(rest, "=") {
				return netip.Addr{}, "", false
			}
			if value, rest, ok = cutValue(rest[1:]); !ok {
				return netip.Addr{}, "", false
			}
			name = strings.ToLower(name)
			if seen[name] {
				return netip.Addr{}, "", false
			}
			seen[name] = true
			if name == "for" {
				address = forwardedNode(value)
			}
			rest = skipSpace(rest)
		}
		switch {
		case rest == "" || rest[0] == ',':
			return address, rest, true
		case rest[0] != ';':
			return netip.Addr{}, "", false
		}
	}
}

func skipSpace(text string) string { return strings.TrimLeft(text, " \t") }

// cutToken cuts a token (RFC 9110, section 5.6.2) from the beginning of text.
func cutToken(text string) (token, rest string, ok bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return !isTokenCharacter(r) })
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], end > 0
}

func isTokenCharacter(r rune) bool {
	isLetter := 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	return isLetter || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// cutValue cuts a token or a quoted string (RFC 9110, section 5.6.4) from the beginning of text.
func cutValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return cutToken(text)
	}
	var unquoted strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return unquoted.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		unquoted.WriteByte(text[i])
	}
	return "", "", false
}

// forwardedNode returns the IP address of a node (RFC 7239, section 6), or the zero Addr. A node is
// an IPv4 address or an IPv6 address in brackets, and may have a port.
func forwardedNode(node string) netip.Addr {
	host := node
	if colon := strings.LastIndexByte(node, ':'); colon > strings.LastIndexByte(node, ']') {
		port := node[colon+1:]
		if port == "" || strings.Trim(port, portCharacters) != "" {
			return netip.Addr{}
		}
		host = node[:colon]
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	address, err := netip.ParseAddr(inner)
	if err != nil || bracketed != closed || bracketed != address.Is6() || address.Zone() != "" {
		return netip.Addr{}
	}
	return address.Unmap()
}

// portCharacters are those of a port number or an obfuscated port.
const portCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-"
