"""How many lines of each project each kind of stream has taken, ever.

The count is written into every stored message (`Isaax-Line`), so that whoever reads a stream can
say how many lines lie between two places without reading what is between them. There is one
writer of a stream (ADR 0005), and so one that counts; what it has counted is restored at its start
from a checkpoint and from the headers of what was stored after it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hub.relay.streams import KINDS, Kind


class CountKey(NamedTuple):
    """Names what is counted: the lines (or samples) of one project."""

    kind: Kind
    project: str


class LineCounts:
    """The counts of all projects."""

    def __init__(self) -> None:
        self._given: dict[CountKey, int] = {}
        self._durable: dict[CountKey, int] = {}
        self._changed: set[CountKey] = set()

    def give(self, key: CountKey, lines: int) -> int:
        """Number the next message, which has so many lines: give how many came before it."""
        before = self._given.get(key, 0)
        self._given[key] = before + lines
        return before

    def stored(self, key: CountKey, total: int) -> None:
        """Note that a message is durable, with which there are `total` lines."""
        if total > self._durable.get(key, 0):
            self._durable[key] = total
            self._changed.add(key)
            # What was found in the stream at start was never given out in this process.
            if total > self._given.get(key, 0):
                self._given[key] = total

    def durable(self, key: CountKey) -> int:
        """Give how many lines are durable."""
        return self._durable.get(key, 0)

    def forget(self, project: str) -> None:
        """Forget a project, of which nothing comes any more."""
        for kind in KINDS:
            key = CountKey(kind, project)
            self._given.pop(key, None)
            self._durable.pop(key, None)
            self._changed.discard(key)

    def take_changed(self) -> dict[CountKey, int]:
        """Give the durable counts that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {key: self._durable[key] for key in changed}

    def put_back(self, keys: Iterable[CountKey]) -> None:
        """Count these as changed again: they could not be written down."""
        self._changed.update(key for key in keys if key in self._durable)
