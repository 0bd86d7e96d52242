"""The limits of projects, as whoever keeps projects knows them, without waiting for the answer."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.relay.admission import Admission, Rates
from hub.relay.contracts import PROJECT_LIMITS, LimitsOf
from hub.relay.counts import CountKey
from hub.relay.tasks import Tasks
from hub.settings import RelaySettings

_log = structlog.stdlib.get_logger(__name__)

_FRESH: Final = 60.0  # seconds that limits are used without asking again
_AGAIN: Final = 5.0  # seconds before somebody who did not answer is asked again
_PATIENCE: Final = 5.0


def defaults_of(settings: RelaySettings) -> Rates:
    """Give the limits that the settings set for every project."""
    return Rates(
        settings.project_lines_per_second,
        settings.project_bytes_per_second,
        settings.project_lines_per_day,
    )


class Gate:
    """Says whether a project may send: `Admission`, with limits that are asked for as needed.

    Nobody waits for them: until they are known, those of the settings hold.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        bus: Bus,
        defaults: Rates,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._admission = Admission(defaults)
        self._clock = clock
        self._due: dict[str, float] = {}
        self._tasks = Tasks()

    def ask(self, key: CountKey, lines: int, size: int, *, overdraw: bool = False) -> float:
        """Let so many lines pass, or give the seconds that they have to wait.

        Args:
            overdraw: let them pass, whatever the limits say; they count all the same.
        """
        now = self._clock()
        self._keep_fresh(key.project, now)
        return self._admission.ask(key, lines, size, now, overdraw=overdraw)

    def wait(self, key: CountKey) -> float:
        """Give the seconds until lines may pass; 0 when they may now."""
        now = self._clock()
        self._keep_fresh(key.project, now)
        return self._admission.wait(key, now)

    def _keep_fresh(self, project: str, now: float) -> None:
        due = self._due.get(project, 0.0)
        if now >= due or now < due - _FRESH:  # the clock went back
            self._due[project] = now + _PATIENCE + _AGAIN  # not twice at the same time
            self._tasks.start(self._refresh(project))

    async def close(self) -> None:
        """Ask no more."""
        await self._tasks.cancel()

    async def _refresh(self, project: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                limits = await self._bus.request(
                    PROJECT_LIMITS, LimitsOf(project), timeout=_PATIENCE
                )
        except (IsaaxError, TimeoutError) as error:
            _log.info("limits stay as they are", project=project, reason=str(error))
            self._due[project] = self._clock() + _AGAIN
            return
        now = self._clock()
        self._admission.learn(project, limits, now)
        self._due[project] = now + _FRESH
