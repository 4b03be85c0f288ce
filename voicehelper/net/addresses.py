"""Whose address: the one place that turns a connection and its headers into an IP address; and which may be called."""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest

from voicehelper.typed import as_seen

# The other end of a connection that has no address, such as a Unix socket, is on this machine.
_HERE = "127.0.0.1"
# "203.0.113.9:443", "[2001:db8::7]:443", either in quotes, as proxies write them; a bare IPv6 address has no port.
_WITH_PORT = re.compile(r'"?(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]+)?"?')
# No address is longer, with its port and zone: what is, need not be remembered.
_LONGEST = 128
# What one customer of a provider is given: whoever has one address of it has all.
_NETWORK_BITS = 64
# Of IPv6, in front of an IPv4 address.
_MAPPED_BITS = 96

# Where the Internet's hosts live in IPv6. The rest is private, or carries an IPv4 address inside (::/96, 64:ff9b::/96).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# IETF protocol assignments: Python 3.11 calls most of it global, and a cloud keeps its metadata there (192.0.0.192).
_ASSIGNMENTS = ipaddress.IPv4Network("192.0.0.0/24")
# Names that never lead to the public Internet.
_INTERNAL_NAMES = (".localhost", ".local", ".internal", ".home.arpa")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# An address family and what socket.connect takes for it.
Address = tuple[int, tuple[Any, ...]]


class AddressRefused(Exception):
    """The URL may not be called: it is malformed, or it leads into a private network."""


def typed_address(text: str) -> str:
    """A web address as it was meant: https unless something else was typed, no slash at the end, and no colon, slash
    or dot of a Chinese keyboard."""
    text = unicodedata.normalize("NFKC", as_seen(text)).replace("。", ".").rstrip("/")
    return f"https://{text.lstrip('/')}" if text and "://" not in text else text


def on_the_wire(url: str) -> str:
    """A web address that every machine understands: 支付.example.com is xn--….example.com to them."""
    if url.isascii():
        return url
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port else ""
    except (UnicodeError, ValueError):
        return url
    path, query = (quote(part, safe="%/:?@!$&'()*+,;=~") for part in (parts.path, parts.query))
    return parts._replace(netloc=f"{host}{port}", path=path, query=query).geturl()


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


def network(text: str) -> Network:
    """One address, or a network in CIDR; of an address inside one, the network. Raises ValueError."""
    found = ipaddress.ip_network(text.strip(), strict=False)
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    if mapped is None or found.prefixlen < _MAPPED_BITS:
        return found
    return ipaddress.IPv4Network((mapped, found.prefixlen - _MAPPED_BITS))


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address, as `address_of` gives it, is in one of them."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in each for each in networks)


def _parsed(text: str) -> str:
    """The address in a hop or of a socket, without port, brackets and zone; empty: there is none."""
    return _read(text.strip()) if len(text) < _LONGEST else ""


@lru_cache(10_000)
def _read(text: str) -> str:
    found = _WITH_PORT.fullmatch(text)
    text = (found[1] or found[2]) if found else text
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def addresses(host: str, port: int) -> list[Address]:
    """Every address a name leads to. Raises OSError or UnicodeError when it cannot be resolved."""
    return [(found[0], found[4]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def public_addresses(host: str, port: int) -> list[Address]:
    """`addresses`, or AddressRefused unless every one is public.

    One private address among several refuses them all: which one is used would be the attacker's choice.
    """
    found = addresses(host, port)
    for _family, address in found:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        if not _is_public(ip):
            raise AddressRefused(f"{host} leads to {ip}, which is not a public address.")
    return found


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and ip not in _ASSIGNMENTS
    if ip.ipv4_mapped:
        return _is_public(ip.ipv4_mapped)
    return ip.is_global and ip in _GLOBAL_UNICAST and ip.sixtofour is None


def check_written(url: str) -> str:
    """The URL when an operator may type it, else AddressRefused with the reason. No name is looked up: forms are saved
    inside a transaction, and where a name leads is checked with every connection anyway."""
    host, port = host_and_port(url, https_only=True)
    try:
        # Numbers, however they are written: 127.1, 0x7f000001, 2130706433.
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        name = host.rstrip(".").lower()
        if "." not in name or name.endswith(_INTERNAL_NAMES):
            raise AddressRefused(f"{host} is a name of a private network.") from None
        return url
    public_addresses(host, port)
    return url


def host_and_port(url: str, *, https_only: bool) -> tuple[str, int]:
    """What a URL leads to; AddressRefused unless it is a plain one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused(f"The address is malformed: {error}.") from error
    if parts.scheme not in ({"https"} if https_only else {"http", "https"}):
        raise AddressRefused("The address must start with https://.")
    if not host or parts.username is not None or parts.password is not None:
        raise AddressRefused("The address must be a plain host name, without a user name.")
    if port == 0:
        raise AddressRefused("The port of the address is not a number between 1 and 65535.")
    return host, port or (443 if parts.scheme == "https" else 80)
