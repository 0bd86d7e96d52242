"""How often mails may leave, whatever happens."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

BURST: Final = 5
"""Mails that may leave at once."""

EVERY: Final = 60.0
"""Seconds after which another one may."""


class Pace:
    """Lets a few mails through at once, and then one a minute.

    Digests are further apart anyway, but when more lines come meanwhile than the hub holds for
    one of them, they come as several batches.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = 0.0  # when all that left would have left at the slow pace

    async def turn(self) -> None:
        """Wait for one's turn."""
        await asyncio.sleep(self.wait())
        self._due = max(self._due, self._clock()) + EVERY

    def wait(self) -> float:
        """Give the seconds until a mail may leave."""
        return max(self._due - self._clock() - (BURST - 1) * EVERY, 0.0)
