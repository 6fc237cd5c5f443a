package throttle

import "net/netip"

// Network returns the network of an IP address that usually belongs to one person: the single
// address for IPv4, even if written as IPv6, and the /64 for IPv6 (RFC 6177). It returns the empty
// text for anything that is not an IP address.
func Network(ip string) string {
	parsed, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	parsed = parsed.Unmap().WithZone("")
	bits := 64
	if parsed.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(parsed, bits).Masked().String()
}
