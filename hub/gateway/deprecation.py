"""Routes that are better not used any more: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594)."""

import datetime as dt
from email.utils import format_datetime
from typing import Final

from hub.routes import Deprecated

REFERENCE: Final = "/docs"
"""Where the reference says more."""


def headers_of(deprecated: Deprecated | None) -> dict[str, str]:
    """Give the headers that every answer of such a route carries."""
    if deprecated is None:
        return {}
    headers = {
        "Deprecation": f"@{int(_midnight(deprecated.since).timestamp())}",
        "Link": f'<{REFERENCE}>; rel="deprecation"; type="text/html"',
    }
    if deprecated.sunset is not None:
        headers["Sunset"] = format_datetime(_midnight(deprecated.sunset), usegmt=True)
    return headers


def in_words(deprecated: Deprecated) -> str:
    """Say it to people."""
    words = f"Deprecated since {deprecated.since}."
    if deprecated.sunset is not None:
        words += f" It may stop to answer from {deprecated.sunset} on."
    if deprecated.instead:
        words += f" Use instead: {deprecated.instead}."
    return words


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
