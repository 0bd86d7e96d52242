"""Work whose length its input decides: done beside the event loop once it takes long.

A user's regular expression takes time linear in the text, but a hostile one on hostile text may
take a second for some hundred kilobytes. RE2 lets go of the interpreter's lock meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LARGE: Final = 256 * 1024
"""Bytes of text from which on work is done apart without trying."""

LONG: Final = 0.02
"""Seconds; after work that took longer, the next `WARY` pieces are done apart, too."""

WARY: Final = 100


class Apart:
    """Does one kind of work, one piece after the other.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wary = 0

    async def run(self, work: Callable[[], T], size: int) -> T:
        """Do a piece of work; `size` is of its text, in bytes."""
        started = self._clock()
        done = await asyncio.to_thread(work) if self._wary or size > LARGE else work()
        took_long = self._clock() - started > LONG
        self._wary = WARY if took_long else max(0, self._wary - 1)
        return done
