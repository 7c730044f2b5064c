"""Ask only servers that the whole internet can ask: an address that a visitor gives must not open this network to them.

The address is looked up once, and what was looked at is what is connected to, so that a name cannot change in between.
No proxy is used: it would look the name up again. Knows nothing of what is asked.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any

from crossfade.errors import EngineError
from crossfade.settings import Settings

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses that a gateway turns into the IPv4 address in their last four bytes (RFC 6052)."""


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reached from its own machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def serves_others(settings: Settings) -> bool:
    """Whether others than who sits at this machine can open the page."""
    return settings.public or not is_loopback(settings.host)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the whole internet, and hides no other one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        hidden = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _TRANSLATED:
            hidden = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(str(hidden))
    return found.is_global and not found.is_multicast and not found.is_reserved


def connect(
    address: tuple[str, int], timeout: Any = None, source_address: tuple[str, int] | None = None, **_: Any
) -> socket.socket:
    """`socket.create_connection`, to public addresses alone. Raises EngineError for any other, OSError as that does."""
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [str(place[0]) for *_, place in found]
    for place in places:
        if not is_public(place):
            raise EngineError(
                f"{host} is an address of this machine or its network, which visitors may not have asked. Give a "
                "server on the internet, or open this page on the machine itself."
            )
    failed: OSError = OSError(f"{host} has no address")
    for place in places:
        try:
            return socket.create_connection((place, port), timeout, source_address)
        except OSError as error:
            failed = error
    raise failed


class _PlainConnection(HTTPConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect


class _TlsConnection(HTTPSConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_PlainConnection, req)


class _Tls(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_TlsConnection, req)


HANDLERS = (urllib.request.ProxyHandler({}), _Plain(), _Tls())
"""What makes an opener of `urllib` ask public addresses alone."""
