"""How long something is tried again, and after which waits."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Args:
        seconds: that all attempts may take together.
        first, longest: seconds of the first wait, and of the longest one; each wait is twice the
            one before, less up to a half of it, so that not all clients come back at once.
        sleep: what waits.
    """

    seconds: float = 20.0
    first: float = 0.2
    longest: float = 5.0
    sleep: Callable[[float], None] = time.sleep


class Waits:
    """The waits of one request, or of one break in a stream."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._deadline = time.monotonic() + patience.seconds
        self._next = patience.first

    def pause(self, told: float | None = None) -> bool:
        """Wait; or say False at once, when that would take too long.

        Args:
            told: seconds that the hub asked for.
        """
        wait = self._next * random.uniform(0.5, 1.0) if told is None else told
        self._next = min(self._next * 2, self._patience.longest)
        if time.monotonic() + wait > self._deadline:
            return False
        self._patience.sleep(wait)
        return True
