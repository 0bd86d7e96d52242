"""Joining lines that belong together, across the batches in which they came."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from hub.batches import Chunk
from hub.shaping.rules import Join

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Joined(Generic[S]):
    """Lines that can go.

    Args:
        finishes: once they are delivered, the first n lines of each of these sources are done.
    """

    chunk: Chunk
    finishes: tuple[tuple[S, int], ...]


class Joiner(Generic[S]):
    """Holds the last line of each device's stream until it is sure that nothing continues it."""

    def __init__(self, rule: Join) -> None:
        raise NotImplementedError

    def add(self, chunk: Chunk, source: S, now: float) -> list[Joined[S]]:
        """Take lines in; give those that are whole.

        Args:
            chunk: its lines are the first ones of `source` (or those after what was done of it).
            now: monotonic seconds.
        """
        raise NotImplementedError

    def due(self) -> float | None:
        """Give the monotonic time at which something held has to go; None when nothing is held."""
        raise NotImplementedError

    def flush(self, now: float | None) -> list[Joined[S]]:
        """Give what is held and due by `now`; None for all of it."""
        raise NotImplementedError
