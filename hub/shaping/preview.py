"""What a shape would do to lines that are there, line by line; nothing is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hub.batches import Batch, Chunk, Line
from hub.shaping.join import Joined, Joiner
from hub.shaping.rules import Filter, Shape
from hub.shaping.shaper import Shaper

SENT: Final = "sent"
JOINED: Final = "joined"


@dataclass(frozen=True, slots=True)
class Preview:
    """What becomes of one line.

    Args:
        id: of the line.
        outcome: `sent`, `joined` (to the line before it), or the step that leaves it out:
            `filter`, `sample`, `rate_limit`.
        line: as it would be sent; None where it is not, or not by itself.
    """

    id: str
    outcome: str
    line: Line | None


def preview(shape: Shape, chunks: Sequence[tuple[Chunk, str]]) -> list[Preview]:
    """Tell what a shape does to each line.

    Time is that at which the hub took the lines: a rate limit that drops, and the wait of `join`,
    go by it.

    Args:
        chunks: stored lines, in order, each chunk with the name of its device's group.

    Raises:
        Invalid: the shape is wrong.
    """
    Shaper(shape)  # all that is wrong with it, and where, not with the parts that are made below
    outcomes = dict[str, tuple[str, Line | None]]()
    steps = _Steps(shape)
    for chunk, group in _joined(shape, chunks):
        outcomes |= steps.outcomes(chunk, group)
    return [
        Preview(identifier, *outcomes.get(identifier, (JOINED, None)))
        for chunk, _ in chunks
        for identifier in chunk.ids()
    ]


class _Steps:
    """The steps of a shape, each by itself, so that it can be seen what each of them does."""

    def __init__(self, shape: Shape) -> None:
        self._now = 0.0
        self._cuts = {
            "filter": self._shaper(Shape(filter=shape.filter)),
            "sample": self._shaper(Shape(sample=shape.sample)),
            "rate_limit": self._shaper(Shape(rate_limit=shape.rate_limit)),
        }
        self._change = self._shaper(
            msgspec.structs.replace(shape, join=None, filter=Filter(), sample=None, rate_limit=None)
        )

    def _shaper(self, shape: Shape) -> Shaper:
        return Shaper(shape, clock=lambda: self._now)

    def outcomes(self, chunk: Chunk, group: str) -> dict[str, tuple[str, Line | None]]:
        """Give what becomes of each line of a chunk, by id."""
        self._now = chunk.received / 1_000_000
        outcomes = dict[str, tuple[str, Line | None]]()
        left: Chunk | None = chunk
        for name, shaper in self._cuts.items():
            if left is None:
                break
            before = left
            left = shaper.apply(before, group)
            kept = set() if left is None else set(left.ids())
            outcomes |= {one: (name, None) for one in before.ids() if one not in kept}
        changed = None if left is None else self._change.apply(left, group)
        if changed is not None:
            outcomes |= {line.id: (SENT, line) for line in Batch("preview", (changed,))}
        return outcomes


def _joined(shape: Shape, chunks: Sequence[tuple[Chunk, str]]) -> Iterator[tuple[Chunk, str]]:
    """Give the chunks as `join` makes them."""
    if shape.join is None:
        yield from chunks
        return
    joiner: Joiner[str] = Joiner(shape.join)  # the source of a chunk is the group of its device
    whole: list[Joined[str]] = []
    for chunk, group in chunks:
        now = chunk.received / 1_000_000
        whole += [*joiner.flush(now), *joiner.add(chunk, group, now)]
    for one in whole + joiner.flush(None):
        yield one.chunk, one.finishes[0][0]
