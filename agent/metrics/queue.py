"""The bounded queue between a sensor and its spool, and the batches that it gives."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from agent.batcher import Batch, Entry, Gap
from agent.linequeue import Missing
from agent.lines import now
from hub.protocol import Samples

MOST: Final = 64  # collections that wait while the disk stalls


class SampleQueue:
    """Collections wait here for the spool; when it is full the newest are dropped and counted.

    Args:
        wake: called, from the collector's thread, when there is something to take.
    """

    def __init__(self, wake: Callable[[], None], *, most: int = MOST) -> None:
        self.dropped = 0
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._items: list[Samples | Missing] = []

    def put(self, collected: Sequence[Samples]) -> None:
        """Add what was collected; what does not fit is dropped and counted."""
        with self._lock:
            for samples in collected:
                if len(self._items) < self._most:
                    self._items.append(samples)
                else:
                    self._drop(len(samples))
        self._wake()

    def take(self) -> list[Samples | Missing]:
        """Take all that is there, in order."""
        with self._lock:
            items, self._items = self._items, []
        return items

    def _drop(self, count: int) -> None:
        self.dropped += count
        last = self._items[-1]
        if isinstance(last, Missing):
            last.count += count
        else:
            self._items.append(Missing(count))


class SampleBatcher:
    """Makes one batch of each collection; owned by the spooler's thread."""

    def __init__(self) -> None:
        self._done: list[Entry] = []
        self._since = 0.0

    @property
    def deadline(self) -> float | None:
        """When (monotonic seconds) there is something to take; None when there is nothing."""
        return self._since if self._done else None

    def add(self, items: Iterable[Samples | Missing], *, at: float) -> None:
        """Add what the queue gave.

        Args:
            at: the present, in monotonic seconds.
        """
        self._since = at
        for item in items:
            done = Gap(item.count, now()) if isinstance(item, Missing) else Batch(item, {})
            self._done.append(done)

    def take(self, *, at: float, flush: bool = False) -> list[Entry]:
        """Give the batches; they are complete as they come."""
        done, self._done = self._done, []
        return done
