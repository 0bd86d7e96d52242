"""Where a request came from, when proxies that we trust stand between."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from hub.errors import StartError
from hub.routes import Client

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_AGENT: Final = 256  # characters of a User-Agent that are kept


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read the setting `http.trusted_proxies`.

    Raises:
        StartError: one of them is no network.
    """
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise StartError(f"http.trusted_proxies: {error}") from None
    return tuple(networks)


class Peers:
    """Tells clients from the proxies that pass them on.

    Args:
        trusted: networks of proxies whose `X-Forwarded-For` and `-Proto` are believed.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = trusted

    def client(self, request: web.BaseRequest) -> Client:
        """Say where a request came from.

        Of a chain of proxies the last address counts that is no proxy of ours: what stands before
        it, whoever is there could have written.
        """
        address = request.remote or ""
        secure = request.secure
        if self.trusts(address):
            secure = request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
            said = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
            for hop in reversed([one.strip() for one in said if one.strip()]):
                address = hop if _is_address(hop) else address
                if not self.trusts(hop):
                    break
        return Client(address, request.headers.get("User-Agent", "")[:_AGENT], secure)

    def trusts(self, address: str) -> bool:
        """Say whether this is one of those proxies."""
        if not self._trusted or not _is_address(address):
            return False
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
