"""Pages of other sites that use the API (CORS, WHATWG Fetch): those that the operator names, alone.

They bring a token of their own. Cookies never count across sites: the header
`Access-Control-Allow-Credentials` is not sent, for whatever origin.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from hub.errors import StartError

ANY: Final = "*"
# RFC 6454, section 6.2: what a browser sends in Origin.
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?"
)
_MAX_AGE: Final = 600  # seconds that a browser may remember the answer to a preflight
_SENT: Final = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match",
    "Last-Event-ID", "Prefer", "traceparent",
)  # fmt: skip
_SHOWN: Final = (
    "Deprecation", "ETag", "Idempotent-Replayed", "Link", "Location", "Preference-Applied",
    "RateLimit", "RateLimit-Policy", "Retry-After", "Sunset", "WWW-Authenticate", "X-Request-Id",
)  # fmt: skip


class Cors:
    """Knows the origins that are allowed.

    Args:
        origins: as `http.allowed_origins`.

    Raises:
        StartError: one is no origin.
    """

    def __init__(self, origins: Sequence[str] = ()) -> None:
        for origin in origins:
            if origin != ANY and not _ORIGIN.fullmatch(origin):
                raise StartError(
                    f"http.allowed_origins: {origin!r} is no origin such as "
                    "https://app.example.com (in lower case, and without a path)"
                )
        self._origins = frozenset(origins)

    def headers(self, request: web.Request) -> Mapping[str, str]:
        """Give what every answer carries."""
        if not self._origins:
            return {}
        allowed = self._allowed(request)
        vary = {} if ANY in self._origins else {"Vary": "Origin"}
        if not allowed:
            return vary
        return {
            **vary,
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Expose-Headers": ", ".join(_SHOWN),
        }

    def preflight(self, request: web.Request, methods: str) -> Mapping[str, str]:
        """Give what the answer to a preflight carries besides; nothing, where it is none.

        Args:
            methods: that are allowed at this path.
        """
        asked = "Access-Control-Request-Method" in request.headers
        if not asked or not self._allowed(request):
            return {}
        return {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": ", ".join(_SENT),
            "Access-Control-Max-Age": str(_MAX_AGE),
            "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
        }

    def _allowed(self, request: web.Request) -> str:
        origin = request.headers.get("Origin", "")
        if ANY in self._origins:
            return ANY
        return origin if origin in self._origins else ""
