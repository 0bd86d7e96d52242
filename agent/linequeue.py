"""The bounded queue between the sources of a stream and its spool."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agent.lines import Line

MAX_LINES: Final = 50_000
MAX_BYTES: Final = 12 * 1024 * 1024
_LINE_OVERHEAD: Final = 200  # bytes of memory that a line takes besides its text, about


class Missing(msgspec.Struct):
    """So many lines were dropped at this place of the queue."""

    count: int


class LineQueue:
    """Lines wait here for the spool; a source is never made to wait.

    When it is full (the disk stalls) new lines are dropped, and counted where they are missing.
    Sources put from one thread, the spooler takes from another.

    Args:
        wake: called, from the source's thread, when there is something to take.
        enabled: whether the stream is relayed; lines of one that is not are dropped silently.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        enabled: bool = True,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.enabled = enabled
        self.dropped = 0
        self._wake = wake
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._items: list[Line | Missing] = []
        self._bytes = 0

    @property
    def is_filling(self) -> bool:
        """Say whether it is half full, but not full: the spooler is behind, but it moves on."""
        half = len(self._items) * 2 >= self._max_lines or self._bytes * 2 >= self._max_bytes
        return half and not self._is_full()

    def put(self, lines: Sequence[Line]) -> None:
        """Add lines; those that do not fit are dropped and counted."""
        if not lines or not self.enabled:
            return
        with self._lock:
            taken = 0
            for line in lines:
                if self._is_full():
                    break
                self._add(line)
                taken += 1
            if taken < len(lines):
                self._drop(len(lines) - taken)
        self._wake()

    def offer(self, lines: Sequence[Line]) -> bool:
        """Add all of the lines, or none when the queue is full: the source tries again later."""
        if not lines or not self.enabled:
            return True
        with self._lock:
            if self._is_full():
                return False
            for line in lines:
                self._add(line)
        self._wake()
        return True

    def take(self) -> list[Line | Missing]:
        """Take all that is there, in order."""
        with self._lock:
            items, self._items = self._items, []
            self._bytes = 0
        return items

    def _is_full(self) -> bool:
        return len(self._items) >= self._max_lines or self._bytes >= self._max_bytes

    def _add(self, line: Line) -> None:
        self._items.append(line)
        self._bytes += len(line.message) + _LINE_OVERHEAD

    def _drop(self, count: int) -> None:
        self.dropped += count
        last = self._items[-1] if self._items else None
        if isinstance(last, Missing):
            last.count += count
        else:
            self._items.append(Missing(count))
