package httpapi

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor is the header in which proxies list the IP addresses that a request came through,
// the nearest last.
const forwardedFor = "X-Forwarded-For"

// Proxies are the networks whose X-Forwarded-For is trusted.
type Proxies []netip.Prefix

// ParseProxies parses IP addresses and CIDRs, separated by commas. The error names the first that
// is neither.
func ParseProxies(text string) (Proxies, error) {
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

// clientIP returns the IP address that a request came from: the peer's or, if the peer is a trusted
// proxy, one from X-Forwarded-For. It reads the header from the right, where the nearest proxy
// appends, and returns the first address that is not a trusted proxy. Anything left of it may be
// forged. It stops at an entry that cannot be parsed, and returns the address before it.
func (p Proxies) clientIP(peer string, header http.Header) string {
	client, ok := parseNode(peer)
	if !ok {
		return peer
	}
	hops := strings.Split(strings.Join(header.Values(forwardedFor), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.trust(client) {
			break
		}
		next, ok := parseNode(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = next
	}
	return client.String()
}

// parseNode parses an IP address with or without a port.
func parseNode(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.Unmap().WithZone(""), err == nil
}

// warnUntrustedProxy logs once that X-Forwarded-For came from a peer that is not trusted: behind a
// proxy that is not configured, all clients have the same IP address.
func (m *middleware) warnUntrustedProxy(r *http.Request) {
	if len(r.Header.Values(forwardedFor)) == 0 {
		return
	}
	if peer, ok := parseNode(r.RemoteAddr); ok && m.proxies.trust(peer) {
		return
	}
	m.warned.Do(func() {
		m.log.LogAttrs(r.Context(), slog.LevelWarn,
			"X-Forwarded-For is ignored because its sender is not a trusted proxy. If it is your proxy, "+
				"add it to SESAME_TRUSTED_PROXIES; otherwise all clients behind it share their rate limits.",
			slog.String("peer", r.RemoteAddr))
	})
}
