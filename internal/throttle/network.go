package throttle

import "net/netip"

// Network returns the network of an IP address that usually belongs to one person: the single
// address for IPv4, even if written as IPv6, and the /64 for IPv6 (RFC 6177). It returns the empty
// text for anything that is not an IP address.
func Network(ip string) string { return network(ip, 32, 64) }

// WideNetwork returns the network that one customer of a provider may have: the /24 for IPv4, and
// the /48 for IPv6 (RFC 6177, section 2). It returns the empty text for anything that is not an IP
// address.
func WideNetwork(ip string) string { return network(ip, 24, 48) }

func network(ip string, bits4, bits6 int) string {
	parsed, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	parsed = parsed.Unmap().WithZone("")
	bits := bits6
	if parsed.Is4() {
		bits = bits4
	}
	return netip.PrefixFrom(parsed, bits).Masked().String()
}

// wideFactor is how many times as many attempts a wide network has.
const wideFactor = 10

// PerNetwork returns the charges that count c against the network of an IP address, and against the
// wide network around it: its budget is ten times the size, for an attacker who has many networks
// next to each other.
func (c Charge) PerNetwork(ip string) []Charge {
	wide := c
	wide.Limit.Name += ", wide"
	wide.Limit.Burst *= wideFactor
	wide.Subject += " " + WideNetwork(ip)
	c.Subject += " " + Network(ip)
	return []Charge{wide, c} // see Reserve for the order
}
