"""Cutting chunks and batches: to a size, to some lines, to runs without a hole."""

import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, TypeVar

from hub.batches import Batch, Chunk, MetricBatch, MetricChunk
from hub.protocol import Lines, Samples

AnyChunk = Chunk | MetricChunk
AnyBatch = Batch | MetricBatch
T = TypeVar("T")

_SAMPLE_BYTES: Final = 100
"""What a sample counts for, about: a name, a few labels, a time and a value as text."""


def size_of(chunk: AnyChunk) -> int:
    """Count what a chunk takes of a batch: the bytes of its texts."""
    if isinstance(chunk, Chunk):
        return text_bytes(chunk.lines.messages)
    return _SAMPLE_BYTES * len(chunk)


def fitting_of(chunk: AnyChunk, max_lines: int, max_bytes: int) -> tuple[int, int]:
    """Say how many of a chunk's first lines fit, and their bytes."""
    if isinstance(chunk, Chunk):
        return fitting(chunk.lines.messages, max_lines, max_bytes)
    count = min(len(chunk), max_lines, max_bytes // _SAMPLE_BYTES)
    return count, count * _SAMPLE_BYTES


def text_bytes(messages: Sequence[str]) -> int:
    """Count the bytes of these texts in UTF-8."""
    text = "".join(messages)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def fitting(messages: Sequence[str], max_lines: int, max_bytes: int) -> tuple[int, int]:
    """Say how many of the first messages fit, and their bytes."""
    head = messages if len(messages) <= max_lines else messages[:max_lines]
    size = text_bytes(head)
    if size <= max_bytes:
        return len(head), size
    count = taken = 0
    for total in accumulate(text_bytes((message,)) for message in head):
        if total > max_bytes:
            break
        count, taken = count + 1, total
    return count, taken


def pick(chunk: AnyChunk, indexes: Sequence[int]) -> AnyChunk:
    """Give some lines of a chunk, by ascending indexes, as one chunk."""
    if indexes and indexes[-1] - indexes[0] == len(indexes) - 1:
        return chunk.part(indexes[0], indexes[-1] + 1)
    numbers = chunk.numbers()
    seqs = [numbers[index] for index in indexes]
    first = seqs[0] if seqs else chunk.first
    if isinstance(chunk, Chunk):
        old = chunk.lines
        lines = Lines(
            _column(old.times, indexes),
            _column_of(old.priorities, indexes),
            _column_of(old.programs, indexes),
            _column(old.messages, indexes),
        )
        return replace(chunk, first=first, seqs=seqs, lines=lines)
    was = chunk.samples
    samples = Samples(
        _column(was.times, indexes),
        _column_of(was.names, indexes),
        _column(was.values, indexes),
        _column_of(was.labels, indexes),
        _column_of(was.counters, indexes),
    )
    return replace(chunk, first=first, seqs=seqs, samples=samples)


def _column(column: Sequence[T], indexes: Sequence[int]) -> list[T]:
    return [column[index] for index in indexes]


def _column_of(column: T | list[T], indexes: Sequence[int]) -> T | list[T]:
    return [column[index] for index in indexes] if isinstance(column, list) else column


def runs(chunk: AnyChunk) -> list[AnyChunk]:
    """Give a chunk as chunks whose numbers follow each other without a hole."""
    if chunk.seqs is None:
        return [chunk]
    starts = [
        index
        for index in range(len(chunk))
        if index == 0 or chunk.seqs[index] != chunk.seqs[index - 1] + 1
    ]
    ends = [*starts[1:], len(chunk)]
    return [
        replace(chunk.part(start, end), seqs=None) for start, end in zip(starts, ends, strict=True)
    ]


def subset(batch: AnyBatch, indexes: Sequence[int]) -> AnyBatch:
    """Give a batch of some lines only, by their indexes.

    However many holes that makes, there are no more chunks than before: what a destination does
    once for each chunk must not be done for each line.
    """
    wanted = sorted({index for index in indexes if 0 <= index < len(batch)})
    chunks: list[AnyChunk] = []
    offset = position = 0
    for chunk in batch.chunks:
        end = offset + len(chunk)
        until = bisect_left(wanted, end, position)
        if until > position:
            chunks.append(pick(chunk, [index - offset for index in wanted[position:until]]))
        offset, position = end, until
    return batch_of(chunks, holes=True)


def batch_of(chunks: Sequence[AnyChunk], *, holes: bool = False) -> AnyBatch:
    """Make a batch of chunks, which are all of lines or all of samples.

    Args:
        holes: lines between these may be missing, so that the first one and their number do not
            say which they are.
    """
    name = batch_id(chunks, holes=holes)
    if chunks and isinstance(chunks[0], MetricChunk):
        return MetricBatch(name, tuple(c for c in chunks if isinstance(c, MetricChunk)))
    return Batch(name, tuple(c for c in chunks if isinstance(c, Chunk)))


def batch_id(chunks: Sequence[AnyChunk], *, holes: bool = False) -> str:
    """Name a batch by its first line and the number of its lines: the same at every retry.

    Where there may be holes, a checksum of which lines they are is added: what a receiver that
    knows the name would take for a repetition must be one.
    """
    if not chunks:
        return ""
    first = chunks[0]
    name = f"{first.device}-{first.stream}-{first.boot}-{first.first}-{sum(map(len, chunks))}"
    if not holes:
        return name
    check = 0
    for chunk in chunks:
        which = list(chunk.numbers())
        check = zlib.crc32(f"{chunk.device} {chunk.stream} {chunk.boot} {which}".encode(), check)
    return f"{name}-{check:08x}"
