"""Turns: when a whole fleet comes at once, each device is told when to come again.

Without them all would wait for the hub at the same time, give up after the same seconds, and ask
again while the first questions still wait to be answered.
"""

import itertools
import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 300.0
_REMEMBERED: Final = 100_000  # clients: some megabytes


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
        self._given: dict[str, float] = {}  # when each is to come, the earliest first

    def wait(self, client: str, at_it: int) -> float:
        """Say in how many seconds a client is to come; 0: it may go on.

        One that comes before its time is given the same again, and so delays nobody else.

        Args:
            at_it: devices that have begun and are not through.
        """
        if at_it < self._most:
            return 0.0
        now = self._clock()
        self._forget_past(now)
        if (at := self._given.get(client)) is not None:
            return at - now
        self._next = max(self._next, now + at_it * self._each) + self._each
        self._next = min(self._next, now + LONGEST)
        if len(self._given) < _REMEMBERED:
            self._given[client] = self._next
        return self._next - now

    def _forget_past(self, now: float) -> None:
        for client, _ in [*itertools.takewhile(lambda one: one[1] <= now, self._given.items())]:
            del self._given[client]
