"""Whose address: the one place that turns a connection and its headers into an IP address."""

import ipaddress
import re

from django.conf import settings
from django.http import HttpRequest

# The other end of a connection that has no address, such as a Unix socket, is on this machine.
_HERE = "127.0.0.1"
# "203.0.113.9:443", "[2001:db8::7]:443", either in quotes, as proxies write them; a bare IPv6 address has no port.
_WITH_PORT = re.compile(r'"?(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]+)?"?')
# What one customer of a provider is given: whoever has one address of it has all.
_NETWORK_BITS = 64


def client_address(request: HttpRequest) -> str:
    """The IP address of whoever sent the request, in its shortest spelling; see `address_of`."""
    return address_of(request.META.get("REMOTE_ADDR"), request.headers.get("X-Forwarded-For", ""))


def address_of(peer: str | None, forwarded: str) -> str:
    """The address at the other end of a connection or, behind our own proxies, the hop the outermost one wrote.

    A client can put anything in front of X-Forwarded-For, so TRUSTED_PROXIES hops are counted from the right. A hop
    that is no address counts for nothing: then it is the connection's. IPv4 in IPv6 is IPv4, as WeChat Pay wants it.
    """
    hops = [hop for hop in forwarded.split(",") if hop.strip()]
    trusted = settings.TRUSTED_PROXIES
    named = hops[-trusted] if 0 < trusted <= len(hops) else ""
    return _parsed(named) or _parsed(peer or "") or _HERE


def network_of(address: str) -> str:
    """Who shares a limit with an address: itself alone, of IPv6 its /64."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, _NETWORK_BITS), strict=False))


def _parsed(text: str) -> str:
    """The address in a hop or of a socket, without port, brackets and zone; empty: there is none."""
    text = text.strip()
    found = _WITH_PORT.fullmatch(text)
    text = (found[1] or found[2]) if found else text
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
