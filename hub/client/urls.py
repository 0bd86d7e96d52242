"""Addresses of hubs."""

import ipaddress
from urllib.parse import urlsplit

from hub.client.errors import BadUrl


def base_url(url: str) -> str:
    """Give scheme, host and port of a hub's URL; the API's own paths are below that.

    Raises:
        BadUrl: it is no URL of HTTP.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"{url!r}: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise BadUrl(f"{url!r} is not of the form https://hub.example.com")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def in_clear(url: str) -> bool:
    """Say whether others on the way can read what is sent there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "http" and not here
