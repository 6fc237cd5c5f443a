package throttle

import "net/netip"

// Network is the network that a client's address belongs to, as far as one person commonly has it: an IPv4
// address by itself, also where it is written as IPv6, and the /64 of an IPv6 address (RFC 6177). All texts that
// are no address share one network, the empty text.
func Network(address string) string {
	parsed, err := netip.ParseAddr(address)
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
