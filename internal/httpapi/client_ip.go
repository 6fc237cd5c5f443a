package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers in which proxies report the IP address of the client. Only the first two are used.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded"
	realIP       = "X-Real-Ip"
)

// Proxies are the networks whose X-Forwarded-For and Forwarded are trusted.
type Proxies []netip.Prefix

// ParseProxies parses IP addresses and CIDRs, separated by commas. "none" says that there is no
// proxy. The error names the first entry that is neither an address nor a CIDR.
func ParseProxies(text string) (Proxies, error) {
	if text == "none" {
		return nil, nil
	}
	var proxies Proxies
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if address, failed := netip.ParseAddr(entry); failed == nil {
			address = address.Unmap().WithZone("")
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || prefix.Addr().Is4In6() { // no address matches it, as they are unmapped
			return nil, fmt.Errorf("%q is neither an IP address nor a CIDR, such as 10.0.0.0/8", entry)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) trust(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// trustPeer is trust for the peer of a connection, as peerOf returns it.
func (p Proxies) trustPeer(peer string) bool {
	address, ok := parseNode(peer)
	return peer == unixPeer || ok && p.trust(address)
}

// The reasons why the IP address of a client is unknown. Its requests then count as those of the
// proxy, so all clients behind the proxy share their rate limits.
var (
	errUntrustedPeer = errors.New("a header with the IP address of the client is ignored, " +
		"because its sender is not a trusted proxy. If it is your proxy, add it to SESAME_TRUSTED_PROXIES; " +
		"otherwise all clients behind it share their rate limits")
	errRealIP = errors.New("a trusted proxy sends X-Real-IP, which is not used, " +
		"and neither X-Forwarded-For nor Forwarded. Make it send one of these; " +
		"otherwise all clients behind it share their rate limits")
	errNoHeader = errors.New("a trusted proxy sends neither X-Forwarded-For nor Forwarded. " +
		"Make it send one of these; otherwise all clients behind it share their rate limits")
	errNoAddress = errors.New("in X-Forwarded-For or Forwarded from a trusted proxy, the IP address of the client is " +
		"missing, or the two headers contradict each other. Make the proxy write one of them and remove the other; " +
		"otherwise all clients behind it share their rate limits")
)

// unixPeer is the peer of a connection to a Unix socket. It is a program on this machine that the
// operator gave access to the socket, so it counts as a trusted proxy with a loopback address.
const unixPeer = "unix socket"

// peerOf returns the other end of the connection that a request came on: ip:port, or unixPeer.
func peerOf(r *http.Request) string {
	if _, isUnix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); isUnix {
		return unixPeer
	}
	return r.RemoteAddr
}

// clientIP returns the IP address that a request came from: the peer's or, if the peer is a trusted
// proxy, one from X-Forwarded-For or Forwarded. It reads the header from the right, where the
// nearest proxy appends, and returns the first address that is not a trusted proxy. Anything left
// of it may be forged. It stops at an entry that cannot be parsed, and returns the address before
// it.
//
// If a request has both headers, they must agree, and it stops where they do not. A proxy that
// appends to one header passes on the other one as a client sent it, and neither header shows which
// one the proxy wrote.
//
// The error is the reason why the address is not that of the client, or nil.
func (p Proxies) clientIP(peer string, header http.Header) (string, error) {
	client, ok := parseNode(peer)
	trusted := p.trustPeer(peer)
	if peer == unixPeer {
		client, ok = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	if !ok {
		return peer, nil
	}
	lists := hops(header)
	switch hasRealIP := header.Values(realIP) != nil; {
	case !trusted && (len(lists) > 0 || hasRealIP):
		return client.String(), errUntrustedPeer
	case trusted && len(lists) == 0 && hasRealIP:
		return client.String(), errRealIP
	case trusted && len(lists) == 0:
		return client.String(), errNoHeader
	}
	for hop := 1; trusted; hop++ {
		if !slices.ContainsFunc(lists, func(list []netip.Addr) bool { return len(list) >= hop }) {
			break // all are proxies
		}
		next, known := hopOf(lists, hop)
		if !known {
			return client.String(), errNoAddress
		}
		client, trusted = next, p.trust(next)
	}
	return client.String(), nil
}

// hops returns the addresses in X-Forwarded-For and those in Forwarded, if the header is there, the
// nearest last. An entry without an IP address is the zero Addr.
func hops(header http.Header) (lists [][]netip.Addr) {
	if lines := header.Values(forwardedFor); lines != nil {
		var list []netip.Addr
		for entry := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			address, _ := parseNode(strings.TrimSpace(entry))
			list = append(list, address)
		}
		lists = append(lists, list)
	}
	if lines := header.Values(forwarded); lines != nil {
		lists = append(lists, forwardedAddresses(strings.Join(lines, ",")))
	}
	return lists
}

// hopOf returns the address that all lists have at a place, counted from the right, starting with
// 1.
func hopOf(lists [][]netip.Addr, hop int) (address netip.Addr, known bool) {
	for i, list := range lists {
		if len(list) < hop || i > 0 && list[len(list)-hop] != address {
			return netip.Addr{}, false
		}
		address = list[len(list)-hop]
	}
	return address, address.IsValid()
}

// parseNode parses an IP address with or without a port. If it fails, it returns the zero Addr.
func parseNode(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.Unmap().WithZone(""), err == nil
}

// warnUnknownIP logs each reason why the IP address of a client is unknown, once. A proxy may check
// with a GET request of its own whether the server is up, so errNoHeader needs another method.
func (m *middleware) warnUnknownIP(r *http.Request, reason error) {
	isCheck := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reason == nil || isCheck && errors.Is(reason, errNoHeader) {
		return
	}
	if _, logged := m.warned.LoadOrStore(reason, true); !logged {
		m.log.LogAttrs(r.Context(), slog.LevelWarn, "the IP address of the client is unknown",
			slog.String("err", reason.Error()), slog.String("peer", peerOf(r)))
	}
}
