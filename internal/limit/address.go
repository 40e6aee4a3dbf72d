package limit

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an address as limits see it: all of an IPv4 address, the /64 of an IPv6 address, since
// whoever has one address of a /64 has them all. It is comparable and holds no pointers.
type Addr struct{ high, low uint64 }

const (
	mappedIPv4 = 0xffff << 32
	noAddress  = 1 // what is no address counts as one of its own
)

// Address is how limits see a. An IPv4 address in IPv6 clothes is the IPv4 address; zones do not
// count.
func Address(a netip.Addr) Addr {
	a = a.Unmap()
	switch {
	case a.Is4():
		b := a.As4()
		return Addr{low: mappedIPv4 | uint64(binary.BigEndian.Uint32(b[:]))}
	case a.Is6():
		b := a.As16()
		return Addr{high: binary.BigEndian.Uint64(b[:8])}
	}
	return Addr{low: noAddress}
}

// Prefix is the range of addresses that are one to limits; it is not valid if there was no address.
func (a Addr) Prefix() netip.Prefix {
	var b [16]byte
	switch {
	case a == Addr{low: noAddress}:
		return netip.Prefix{}
	case a.low != 0:
		binary.BigEndian.PutUint32(b[:4], uint32(a.low))
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), 32)
	}
	binary.BigEndian.PutUint64(b[:8], a.high)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

func (a Addr) String() string { return a.Prefix().String() }
