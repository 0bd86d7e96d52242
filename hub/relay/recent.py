"""What each project sent in the last seconds."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.relay.counts import CountKey

_OVER: Final = 10  # seconds that are added up, the present one among them


class Rate(NamedTuple):
    """What came in, a second."""

    lines: float = 0.0
    samples: float = 0.0
    bytes: float = 0.0


@dataclass(slots=True)
class _Sent:
    lines: int = 0
    samples: int = 0
    bytes: int = 0


class Recent:
    """Counts what is stored, by project and second.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._seconds: deque[tuple[int, dict[str, _Sent]]] = deque(maxlen=_OVER)

    def note(self, key: CountKey, lines: int, size: int) -> None:
        """Count a batch that is stored; `size` in bytes, as it is stored."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, {}))
        by_project = self._seconds[-1][1]
        sent = by_project.get(key.project)
        if sent is None:
            sent = by_project[key.project] = _Sent()
        if key.kind == "metric":
            sent.samples += lines
        else:
            sent.lines += lines
        sent.bytes += size

    def of(self, projects: Iterable[str]) -> Rate:
        """Give what these projects sent together."""
        wanted, now = set(projects), self._clock()
        first = math.floor(now) - _OVER + 1
        seconds = max(1.0, now - max(first, self._since))
        found = [
            sent
            for second, by_project in self._seconds
            if second >= first
            for project, sent in by_project.items()
            if project in wanted
        ]
        return Rate(
            round(sum(sent.lines for sent in found) / seconds, 1),
            round(sum(sent.samples for sent in found) / seconds, 1),
            round(sum(sent.bytes for sent in found) / seconds, 1),
        )
