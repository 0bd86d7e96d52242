"""What was written to a destination that never answers, and is not yet sure to have arrived."""

import math
from collections import deque
from collections.abc import Sequence

from hub.destinations import Window
from hub.relay.ledger import Entry

Finish = tuple[Entry, int]
"""Once it is delivered, the first n lines of that message are done."""


class _Written:
    __slots__ = ("at", "end", "finishes")

    def __init__(self, finishes: Sequence[Finish], end: int, at: float) -> None:
        self.finishes = finishes
        self.end = end
        self.at = at

    @property
    def key(self) -> int:
        """Stream sequence of the last message in it."""
        return self.finishes[-1][0].sequence


class Unconfirmed:
    """What was written but not confirmed, oldest first.

    It is confirmed when `rule.size` bytes were written after it, or when connections have lived
    `rule.age` seconds since they carried it. The ages of several connections add up: a peer that
    closes idle connections sooner would otherwise get its last lines for ever. Only what has left
    for the peer ages (see `arrived_but`).
    """

    def __init__(self, rule: Window) -> None:
        self._rule = rule
        self._entries: deque[_Written] = deque()
        self._total = 0
        self._lived: dict[int, float] = {}
        self._arrived: float = math.inf

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, finishes: Sequence[Finish], size: int, now: float) -> None:
        """Note that what finishes these was written, in `size` bytes."""
        self._total += size
        written = _Written(finishes, self._total, now)
        written.at -= self._lived.get(written.key, 0.0)
        self._entries.append(written)

    def arrived_but(self, under_way: int) -> None:
        """Note that all is in the peer's hands, but for so many of the last bytes.

        What is counted here is text; on the wire it takes more, so that this errs on the safe side.
        """
        before = 0 if self._arrived == math.inf else self._arrived
        self._arrived = max(before, self._total - under_way)

    def confirmed(self, now: float) -> list[Finish]:
        """Forget what is confirmed by now, and give it."""
        finishes: list[Finish] = []
        while self._entries and self._is_confirmed(self._entries[0], now):
            written = self._entries.popleft()
            finishes += written.finishes
            if self._lived:
                self._lived = {k: age for k, age in self._lived.items() if k > written.key}
        return finishes

    def all_confirmed(self) -> list[Finish]:
        """Forget everything, and give it: the destination says that all was taken."""
        finishes = [finish for written in self._entries for finish in written.finishes]
        self._entries.clear()
        self._lived.clear()
        return finishes

    def due(self) -> float | None:
        """Give the time at which the oldest will be confirmed by its age, if it has arrived."""
        if not self._entries or self._entries[0].end > self._arrived:
            return None
        return self._entries[0].at + self._rule.age

    def lost(self, now: float) -> None:
        """Note that the connection is gone: what is unconfirmed will be written again."""
        for written in self._entries:
            if written.end <= self._arrived:
                self._lived[written.key] = now - written.at
        self._entries.clear()
        self._total = 0
        self._arrived = math.inf

    def _is_confirmed(self, written: _Written, now: float) -> bool:
        if self._total - written.end >= self._rule.size:
            return True
        return written.end <= self._arrived and now - written.at >= self._rule.age
