"""Which lines of a chunk are kept."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import TypeVar

from hub.batches import Chunk, MetricChunk
from hub.protocol import Lines, Samples

AnyChunk = TypeVar("AnyChunk", Chunk, MetricChunk)
T = TypeVar("T")

Mask = bool | list[bool]
"""Of all lines at once, or of each line."""


def both(one: Mask, other: Mask) -> Mask:
    """Give where both hold."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    return [a and b for a, b in zip(one, other, strict=True)]


def either(one: Mask, other: Mask) -> Mask:
    """Give where at least one holds."""
    if isinstance(one, bool):
        return True if one else other
    if isinstance(other, bool):
        return True if other else one
    return [a or b for a, b in zip(one, other, strict=True)]


def neither(mask: Mask) -> Mask:
    """Give where it does not hold."""
    return not mask if isinstance(mask, bool) else [not kept for kept in mask]


def select(chunk: AnyChunk, mask: Mask) -> AnyChunk | None:
    """Give the lines that are kept: the chunk itself when all are, None when none is."""
    if isinstance(mask, bool):
        return chunk if mask else None
    if False not in mask:
        return chunk
    seqs = list(compress(chunk.numbers(), mask))
    if not seqs:
        return None
    if isinstance(chunk, Chunk):
        return replace(chunk, first=seqs[0], seqs=seqs, lines=_lines(chunk.lines, mask))
    return replace(chunk, first=seqs[0], seqs=seqs, samples=_samples(chunk.samples, mask))


def _lines(lines: Lines, mask: Sequence[bool]) -> Lines:
    return Lines(
        list(compress(lines.times, mask)),
        _column(lines.priorities, mask),
        _column(lines.programs, mask),
        list(compress(lines.messages, mask)),
    )


def _samples(samples: Samples, mask: Sequence[bool]) -> Samples:
    return Samples(
        list(compress(samples.times, mask)),
        _column(samples.names, mask),
        list(compress(samples.values, mask)),
        _column(samples.labels, mask),
        _column(samples.counters, mask),
    )


def _column(column: T | list[T], mask: Sequence[bool]) -> T | list[T]:
    return list(compress(column, mask)) if isinstance(column, list) else column
