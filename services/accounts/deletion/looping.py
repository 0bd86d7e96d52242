"""What those who erase what is due have in common: how they go on, and come again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from hub import IsaaxError, Pace

_log = structlog.stdlib.get_logger(__name__)

EVERY: Final = 60.0
"""Seconds between two looks for what is due, at the most."""
AGAIN: Final = Pace(first=1.0, limit=600.0)
"""After which one that failed is tried again."""
PAUSE: Final = Pace(first=0.05, limit=2.0)
"""Between two questions whether somebody has more to erase."""
_SHORTEST: Final = 0.2


def utc_now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


async def keep_at(
    once: Callable[[], Awaitable[bool]], due_in: Callable[[], Awaitable[float]], every: float
) -> None:
    """Erase what is due, until cancelled.

    Args:
        once: erases one; False: none is due.
        due_in: gives the seconds until the next one is due.
        every: seconds after which it looks again where that is not known.
    """
    while True:
        wait = every
        try:
            while await once():
                continue
            wait = await due_in()
        except IsaaxError as error:
            _log.warning("what is to be erased is not known now", error=str(error))
        await asyncio.sleep(max(wait, _SHORTEST))
