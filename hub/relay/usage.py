"""What each project sends: told once a minute to whoever keeps count of it, and how much lately."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.relay.admission import day_of
from hub.relay.contracts import USAGE, UsageNoted
from hub.relay.counts import CountKey
from hub.relay.recent import Recent

_log = structlog.stdlib.get_logger(__name__)

_INTERVAL: Final = 60.0  # seconds between two tellings


@dataclass(slots=True)
class _Sent:
    lines: int = 0
    samples: int = 0
    bytes: int = 0


class Usage:
    """Counts what is stored, by project and day (UTC).

    A hub that is killed loses the count of its last minute; one that ends in order loses nothing.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._day = ""
        self._until = 0.0
        self.recent = Recent()

    def note(self, key: CountKey, lines: int, size: int) -> None:
        """Count a batch that is stored; `size` in bytes, as it is stored."""
        self.recent.note(key, lines, size)
        now = self._clock()
        if not self._until - 86_400 <= now < self._until:
            self._day = day_of(now)
            self._until = now - now % 86_400 + 86_400
        sent = self._sent.get((key.project, self._day))
        if sent is None:
            sent = self._sent[key.project, self._day] = _Sent()
        if key.kind == "metric":
            sent.samples += lines
        else:
            sent.lines += lines
        sent.bytes += size

    def forget(self, project: str) -> None:
        """Tell nothing more of a project."""
        self._sent = {place: one for place, one in self._sent.items() if place[0] != project}

    async def run(self, bus: Bus) -> None:
        """Tell every minute, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.tell(bus)

    async def tell(self, bus: Bus) -> None:
        """Tell what was counted since the last time; what cannot be told is kept."""
        sent, self._sent = self._sent, {}
        for (project, day), one in list(sent.items()):
            event = UsageNoted(project, day, one.lines, one.samples, one.bytes)
            try:
                await bus.publish(USAGE, event, id=str(uuid.uuid4()), key=project)
            except IsaaxError as error:
                _log.warning("usage is told later", reason=str(error))
                break
            del sent[project, day]
        for place, one in sent.items():
            kept = self._sent.setdefault(place, _Sent())
            kept.lines += one.lines
            kept.samples += one.samples
            kept.bytes += one.bytes
