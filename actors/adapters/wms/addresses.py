"""Where calls may go. A URL is typed by staff: without a rule it could be made to ask this shop's own machines for their secrets.

What is not on the public internet is refused, unless it lies in a network that the settings name. The addresses are looked at
where the connection is made, after the name was resolved: a name that changes its mind in between gains nothing.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

URL_CHARACTERS_MAX: Final = 500

Network = IPv4Network | IPv6Network


class AddressRefused(OSError):
    """The name leads to where calls may not go."""


def networks(text: str) -> tuple[Network, ...]:
    """``10.0.0.0/8, 192.168.1.0/24`` as networks. ValueError when one is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def may_call(address: str, private: Sequence[Network]) -> bool:
    """Whether an IP address may be called."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if any(found.version == network.version and found in network for network in private):
        return True
    return found.is_global and not found.is_multicast


def url_flaw(url: str, private: Sequence[Network]) -> str:
    """Why a URL cannot be a warehouse's; empty when it can. Without TLS only into a network that the settings name."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable():
        return "too long, or with strange characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "neither http nor https"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "with a user, a query or a fragment"
    if _is_address(host):
        if not may_call(host, private):
            return "an address of a private network that the settings do not name"
        return "" if parts.scheme == "https" or _named(host, private) else "without TLS"
    return "" if parts.scheme == "https" or private else "without TLS"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _named(host: str, private: Sequence[Network]) -> bool:
    address = ip_address(host)
    return any(address.version == network.version and address in network for network in private)


class GuardedResolver(AbstractResolver):
    """Resolves names, and gives only the addresses that may be called. AddressRefused when none is left.

    plain: for calls without TLS, which go into the named networks alone.
    """

    def __init__(self, private: Sequence[Network], *, plain: bool) -> None:
        self._private = private
        self._plain = plain
        self._resolver = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """See aiohttp."""
        found = await self._resolver.resolve(host, port, family)
        kept = [one for one in found if may_call(one["host"], self._private) and (not self._plain or _named(one["host"], self._private))]
        if not kept:
            raise AddressRefused(f"{host} leads to no address that may be called")
        return kept

    async def close(self) -> None:
        """See aiohttp."""
        await self._resolver.close()
