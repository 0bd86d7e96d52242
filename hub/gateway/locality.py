"""Whether a request comes from this very machine, for what nobody else may see."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

# What a proxy adds: the peer's address then says nothing of who asks.
_FORWARDED: Final = (
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP",
)  # fmt: skip


def is_local(request: web.Request) -> bool:
    """Say whether it came over the loopback, and no proxy has passed it on."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(request.remote or "")


def is_to_this_machine(request: web.Request) -> bool:
    """Say whether it names this machine as itself: `localhost` or a loopback address.

    A browser that was lured to another name, which then turned out to be that of the loopback (DNS
    rebinding), sends that name, and would show the answer to the page that lured it.
    """
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
