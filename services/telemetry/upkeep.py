"""What is done every hour: partitions made ahead, and what is too old dropped."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from hub import Connection, Queries
from services.telemetry.settings import TelemetrySettings

_log = structlog.stdlib.get_logger(__name__)

_EVERY: Final = 3600.0
_AHEAD: Final = 2  # days
_GONE: Final = 30  # days for which it is remembered that something was deleted


class Upkeep:
    """Makes and drops partitions, and series of which nothing is left.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        sql: Queries,
        settings: TelemetrySettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sql = sql
        self._settings = settings
        self._clock = clock
        self._next = 0.0

    @property
    def is_due(self) -> bool:
        """Say whether an hour has passed."""
        return self._clock() >= self._next

    async def run(self, tx: Connection) -> None:
        """Do all of it.

        Raises:
            Unavailable: Postgres does not answer, or a lock cannot be had in time.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        kept = self._settings

        def ago(days: int) -> datetime:
            return now - timedelta(days=days)

        def day(days: int) -> date:
            return (now + timedelta(days=days)).date()

        made = await tx.one(self._sql["cover"], int, first=day(-kept.keep_days), last=day(_AHEAD))
        dropped = await tx.one(
            self._sql["shed"],
            int,
            samples=ago(kept.keep_days),
            fine=ago(kept.keep_fine_days),
            coarse=ago(kept.keep_rollup_days),
        )
        await tx.run(self._sql["drop_stale_series"], before=ago(kept.keep_rollup_days))
        await tx.run(self._sql["drop_due"], before=ago(kept.keep_days))
        await tx.run(self._sql["drop_gone"], before=ago(_GONE))
        if made or dropped:
            _log.info("partitions of samples", made=made, dropped=dropped)
        self._next = self._clock() + _EVERY
