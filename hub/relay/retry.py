"""When to try again: exponential backoff with full jitter, and a circuit breaker on top."""

import random
from enum import StrEnum
from typing import Final

MAX_AFTER: Final = 3600.0
"""Seconds that a destination's own `Retry-After` may put us off at most."""


class Backoff:
    """Waits that double on average, each drawn from the whole range ("full jitter").

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        base: seconds, the first range; cap: seconds, the largest.
    """

    def __init__(self, *, base: float, cap: float) -> None:
        self._base = base
        self._cap = cap
        self.attempts = 0

    def next(self) -> float:
        """Give the seconds to wait before the next attempt."""
        # 2**40 bases are beyond any cap; a larger exponent would only overflow.
        limit = min(self._cap, self._base * 2.0 ** min(self.attempts, 40))
        self.attempts += 1
        return random.uniform(0.0, limit)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.attempts = 0


class Circuit(StrEnum):
    """Whether a destination is tried as things come in, or only probed now and then."""

    CLOSED = "closed"
    OPEN = "open"


class Breaker:
    """Counts failures in a row; from `threshold` on, the destination is only probed.

    Args:
        base, cap: of the backoff, in seconds. Probes are between half of `cap` and `cap` apart.
    """

    def __init__(self, *, base: float = 0.5, cap: float = 15.0, threshold: int = 6) -> None:
        self._backoff = Backoff(base=base, cap=cap)
        self._cap = cap
        self._threshold = threshold

    @property
    def circuit(self) -> Circuit:
        """The present state."""
        return Circuit.OPEN if self._backoff.attempts >= self._threshold else Circuit.CLOSED

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._backoff.attempts

    def failed(self, after: float | None = None) -> float:
        """Note a failure; give the seconds to wait.

        Args:
            after: what the destination asked for; we wait at least that, up to `MAX_AFTER`.
        """
        delay = self._backoff.next()
        if self.circuit is Circuit.OPEN:
            delay = random.uniform(self._cap / 2, self._cap)
        if after is not None and after > 0:
            delay += min(after, MAX_AFTER)
        return delay

    def succeeded(self) -> None:
        """Note a success: the circuit closes."""
        self._backoff.reset()
