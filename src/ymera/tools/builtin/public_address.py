"""Which addresses are public, so that a page fetch cannot reach into private networks."""

from __future__ import annotations

import ipaddress

__all__ = ["why_not_public"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = tuple(ipaddress.IPv6Network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48"))
_METADATA = frozenset(
    ipaddress.ip_address(each)
    for each in ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
"""Where clouds tell machines their credentials."""


def why_not_public(address: str) -> str | None:
    """Return why a numeric address must not be fetched from, or None when it is public.

    Addresses that carry another one inside (IPv4 in IPv6, 6to4, Teredo, NAT64) count as both.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "no numeric address"
    for one in (parsed, *_inner(parsed)):
        if one in _METADATA:
            return "the address of a cloud's metadata"
        if one.is_loopback:
            return "this machine"
        if one.is_link_local:
            return "a link-local address"
        if one.is_multicast or one.is_unspecified:
            return "no address of a single host"
        if not one.is_global or one.is_reserved:
            return "a private or reserved address"
    return None


def _inner(address: _Address) -> tuple[_Address, ...]:
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    found: list[_Address | None] = [address.ipv4_mapped, address.sixtofour]
    found += address.teredo or ()
    if any(address in network for network in _NAT64):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if int(address) >> 32 == 0:  # the old IPv4-compatible form
        found.append(ipaddress.IPv4Address(int(address)))
    return tuple(each for each in found if each is not None)
