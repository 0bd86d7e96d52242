"""Forms batches: whatever comes first of a number of lines, of bytes, or of milliseconds."""

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from agent.linequeue import Missing
from agent.lines import Line, now
from hub.protocol import Lines, Samples

_LINE_OVERHEAD: Final = 12  # bytes of MessagePack besides the text: time, priority, lengths
_T = TypeVar("_T", int, str)


class Batch(msgspec.Struct, frozen=True):
    """Lines, or samples, that make one batch.

    Args:
        positions: by source, where it stands after the last of its lines in here.
    """

    lines: Lines | Samples
    positions: dict[str, str]


class Gap(msgspec.Struct, frozen=True):
    """Lines that were lost before they reached the spool: how many, and when (µs)."""

    span: int
    time: int


Entry = Batch | Gap


class Limits(msgspec.Struct, frozen=True):
    """When a batch is complete.

    Args:
        lines: as many lines.
        bytes: as many bytes of body, before compression.
        seconds: as long after its first line.
    """

    lines: int = 500
    bytes: int = 256 * 1024
    seconds: float = 0.25


class Batcher:
    """Collects the lines of one stream; owned by the spooler's thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._done: list[Entry] = []
        self._open: list[Line] = []
        self._bytes = 0
        self._since = 0.0

    @property
    def deadline(self) -> float | None:
        """When (monotonic seconds) the open batch must be taken; None when there is none."""
        if self._done:
            return self._since
        return self._since + self._limits.seconds if self._open else None

    def add(self, items: Iterable[Line | Missing], *, at: float) -> None:
        """Add what the queue gave.

        Args:
            at: the present, in monotonic seconds.
        """
        for item in items:
            if isinstance(item, Missing):
                self._close()
                self._done.append(Gap(item.count, now()))
                continue
            size = _size(item)
            if self._bytes + size > self._limits.bytes:
                self._close()
            if not self._open:
                self._since = at
            self._open.append(item)
            self._bytes += size
            if len(self._open) >= self._limits.lines:
                self._close()

    def take(self, *, at: float, flush: bool = False) -> list[Entry]:
        """Give the batches that are complete at `at`, or all of them to `flush`."""
        if self._open and (flush or at >= self._since + self._limits.seconds):
            self._close()
        done, self._done = self._done, []
        return done

    def _close(self) -> None:
        if not self._open:
            return
        lines = Lines(
            [line.time for line in self._open],
            _column([line.priority for line in self._open]),
            _column([line.program for line in self._open]),
            [line.message for line in self._open],
        )
        positions = {line.source: line.position for line in self._open if line.source}
        self._done.append(Batch(lines, positions))
        self._open = []
        self._bytes = 0


def _size(line: Line) -> int:
    message = line.message
    length = len(message) if message.isascii() else len(message.encode("utf-8", "replace"))
    return length + len(line.program) + _LINE_OVERHEAD


def _column(values: list[_T]) -> _T | list[_T]:
    """Give one value when all are the same (docs/protocol.md, "batches")."""
    return values[0] if values.count(values[0]) == len(values) else values
