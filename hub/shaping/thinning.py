"""Sending less: a fixed share of the lines, or so many a second."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from hub.batches import Chunk, MetricChunk
from hub.shaping.filters import as_severe
from hub.shaping.rules import RateLimit, Sample
from hub.shaping.selection import AnyChunk, either, select

_BITS: Final = (1 << 64) - 1
# Multipliers of the 64-bit finalizer by D. Stafford ("mix13"), as in SplitMix64.
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


class Sampler:
    """Keeps a share of the lines, chosen by a hash of their ids: the same ones every time."""

    def __init__(self, rule: Sample) -> None:
        self._below = round(rule.share * (1 << 64))
        self._always = rule.always

    def apply(self, chunk: Chunk) -> Chunk | None:
        """Give the lines that are in the sample."""
        mask = self._chosen(chunk)
        if self._always is not None:
            return select(chunk, either(as_severe(chunk.lines.priorities, self._always), mask))
        return select(chunk, mask)

    def apply_metrics(self, chunk: MetricChunk) -> MetricChunk | None:
        """Give the samples of metrics that are in it."""
        return select(chunk, self._chosen(chunk))

    def _chosen(self, chunk: AnyChunk) -> list[bool]:
        seed = f"{chunk.device}-{chunk.stream}-{chunk.boot}".encode("utf-8", "replace")
        base = int.from_bytes(blake2b(seed, digest_size=8).digest())
        below = self._below
        return [_mixed(base + number) < below for number in chunk.numbers()]


def _mixed(number: int) -> int:
    number &= _BITS
    number = (number ^ (number >> 30)) * _FIRST & _BITS
    number = (number ^ (number >> 27)) * _SECOND & _BITS
    return number ^ (number >> 31)


class TokenBucket:
    """So many lines a second on average, and so many at once after a pause.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, rule: RateLimit, clock: Callable[[], float]) -> None:
        self._rate = rule.lines_per_second
        self._most = float(max(rule.burst or rule.lines_per_second, 1))
        self._clock = clock
        self._tokens = self._most
        self._filled = clock()

    @property
    def most(self) -> int:
        """How many lines may go at once."""
        return int(self._most)

    def apply(self, chunk: AnyChunk) -> AnyChunk | None:
        """Give the first lines, as many as may go now."""
        self._fill()
        allowed = min(int(self._tokens), len(chunk))
        self._tokens -= allowed
        if allowed == len(chunk):
            return chunk
        return chunk.part(0, allowed) if allowed else None

    def delay(self, lines: int) -> float:
        """Take these lines, on credit if need be; give the seconds until that is made up."""
        self._fill()
        self._tokens -= lines
        return max(0.0, -self._tokens / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        earned = max(now - self._filled, 0.0) * self._rate
        self._tokens = min(self._tokens + earned, self._most)
        self._filled = now
