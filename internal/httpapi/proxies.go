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

// forwardedFor is where proxies write whom they speak for, the nearest last.
const forwardedFor = "X-Forwarded-For"

// Proxies are the networks whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxies reads addresses and CIDRs, separated by commas. The error names the first that is neither.
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
		if err != nil || prefix.Addr().Is4In6() { // which no address matches: those are unmapped
			return nil, fmt.Errorf("%q is neither an address nor a CIDR, such as 10.0.0.0/8", entry)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) trust(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// clientOf is the address a request comes from: the peer, or whom trusted proxies say they speak for. Their lists
// are read from the right, where the nearest wrote; the first address that is not a trusted proxy's is the
// client. What stands left of it, anybody may have sent. A list that cannot be read is believed as far as it can.
func (p Proxies) clientOf(peer string, header http.Header) string {
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

// parseNode reads an address with or without a port.
func parseNode(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.Unmap().WithZone(""), err == nil
}

// warnOfProxy tells once that somebody forwards who is not trusted: behind a proxy that is not configured, all
// clients are one.
func (e *Edge) warnOfProxy(r *http.Request) {
	if len(r.Header.Values(forwardedFor)) == 0 {
		return
	}
	if peer, ok := parseNode(r.RemoteAddr); ok && e.proxies.trust(peer) {
		return
	}
	e.warned.Do(func() {
		e.log.LogAttrs(r.Context(), slog.LevelWarn,
			"X-Forwarded-For is ignored: it comes from a peer that is no trusted proxy. If it is a proxy of yours, list it in SESAME_TRUSTED_PROXIES, or all clients behind it share their limits",
			slog.String("peer", r.RemoteAddr))
	})
}
