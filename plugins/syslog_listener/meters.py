"""What the listeners count."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from hub import Metrics

_log: Final = structlog.stdlib.get_logger(__name__)
_PAUSE: Final = 10.0  # seconds between two log lines that say the same

NO_TIME: Final = "the hub ended first"
"""Why messages are dropped that were read, and not stored when the time to end was over."""


@dataclass(frozen=True, slots=True)
class Meters:
    """Counters, by the listener's name."""

    lines: Counter
    dropped: Counter
    refused: Counter
    connections: Gauge

    @classmethod
    def of(cls, metrics: Metrics) -> "Meters":
        """Register them."""
        prefix = "isaax_syslog_listener"
        return cls(
            metrics.counter(f"{prefix}_lines_total", "Lines that were stored.", ("listener",)),
            metrics.counter(
                f"{prefix}_dropped_total", "Messages that were dropped.", ("listener", "reason")
            ),
            metrics.counter(
                f"{prefix}_refused_total", "Connections that were refused.", ("listener", "reason")
            ),
            metrics.gauge(f"{prefix}_connections", "Open connections.", ("listener",)),
        )


class Drops:
    """Counts what a listener drops, and says so in the log, but not for every one.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, name: str, counter: Counter, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._counter = counter
        self._clock = clock
        self._untold: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def add(self, reason: str, count: int = 1) -> None:
        """Count messages; `reason` is one of a few."""
        if not count:
            return
        self._counter.labels(self._name, reason).inc(count)
        self._untold[reason] = self._untold.get(reason, 0) + count
        if self._clock() - self._told.get(reason, -_PAUSE) >= _PAUSE:
            self._told[reason] = self._clock()
            self.tell()

    def tell(self) -> None:
        """Log what has not been logged yet."""
        for reason, count in self._untold.items():
            _log.warning("dropped", listener=self._name, reason=reason, messages=count)
        self._untold.clear()
