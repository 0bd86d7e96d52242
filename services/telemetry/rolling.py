"""Rolls hours up: what 5 minutes, and an hour, of each series come to."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from hub import Connection, Queries

GRACE: Final = 120.0
"""Seconds after an hour in which its last samples arrive."""

_AT_ONCE: Final = 20  # devices of one hour
_BUDGET: Final = 0.5  # seconds of one step: new samples wait meanwhile


class Roller:
    """Works off `telemetry_due`; on the leader's own connection, so nothing comes in meanwhile.

    Args:
        lock: that is shared with those who delete.
        clock: Unix seconds.
    """

    def __init__(self, sql: Queries, lock: int, *, clock: Callable[[], float] = time.time) -> None:
        self._sql = sql
        self._lock = lock
        self._clock = clock

    async def step(self, tx: Connection) -> bool:
        """Roll up some of the hours that are over; say whether any is left."""
        begun = time.monotonic()
        while await self._some(tx):
            if time.monotonic() - begun > _BUDGET:
                return True
        return False

    async def _some(self, tx: Connection) -> bool:
        closed = self._clock() - GRACE
        before = datetime.fromtimestamp(closed - closed % 3600, UTC)
        async with tx.savepoint():
            await tx.run(self._sql["share_lock"], lock=self._lock)
            hour = await tx.maybe(self._sql["next_hour"], datetime, before=before)
            if hour is None:
                return False
            devices = await tx.all(self._sql["take_due"], str, hour=hour, limit=_AT_ONCE)
            await tx.run(self._sql["roll_up"], devices=devices, hour=hour)
        return True
