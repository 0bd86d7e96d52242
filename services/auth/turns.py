"""Turns: when a whole fleet comes at once, each device is told when to come again.

Without them all would wait for the hub at the same time, give up after the same seconds, and ask
again while the first questions still wait to be answered.
"""

import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 300.0


class Turns:
    """Lets devices go on as long as few are at it, and gives the others a time each.

    Args:
        per_second: so many times are given; when the hub is slower, who comes is given another.
        most: devices at it beyond which times are given.
        clock: monotonic seconds.
    """

    def __init__(
        self, per_second: float, most: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each = 1.0 / per_second
        self._most = most
        self._clock = clock
        self._next = 0.0

    def wait(self, at_it: int) -> float:
        """Say in how many seconds one more is to come; 0: it may go on.

        Args:
            at_it: devices that have begun and are not through.
        """
        if at_it < self._most:
            return 0.0
        now = self._clock()
        self._next = max(self._next, now + at_it * self._each) + self._each
        return min(self._next - now, LONGEST)
