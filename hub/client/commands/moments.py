"""Points in time on the command line: a moment, or so long before or after now."""

import re
from datetime import datetime, timedelta
from typing import Final

import typer

_SPAN = re.compile(r"(\d+)\s*([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def past(text: str, now: float, option: str) -> int:
    """Read `10m` (ago), or a moment; give microseconds since the Unix epoch.

    Args:
        now: seconds since the Unix epoch.
        option: that it was given by.

    Raises:
        typer.BadParameter: it is neither.
    """
    return _read(text, now, -1, option)


def ahead(text: str, now: float, option: str) -> int:
    """Read `30d` (from now), or a moment; otherwise as `past`."""
    return _read(text, now, 1, option)


def _read(text: str, now: float, direction: int, option: str) -> int:
    try:
        if span := _SPAN.fullmatch(text.strip()):
            distance = timedelta(**{_UNITS[span[2]]: int(span[1])})
            seconds = now + direction * distance.total_seconds()
        else:
            seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "a time is 10m, 2h, 7d, or as in 2026-11-23T15:04:05Z", param_hint=option
        ) from None
    return int(seconds * 1_000_000)
