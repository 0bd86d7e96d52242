"""Which series there are, and how many more a device may have."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from hub import Connection, Queries
from services.telemetry.columns import NewSeries

_log = structlog.stdlib.get_logger(__name__)

_MOST_KNOWN: Final = 300_000  # some 150 bytes each


class _Known(msgspec.Struct, frozen=True):
    id: int
    key: bytes


class _DeviceCount(msgspec.Struct, frozen=True):
    device: str
    series: int


class _Refused(msgspec.Struct, frozen=True):
    device: str
    before: int


class SeriesBook:
    """The ids of series, by key. It belongs to one leader: nobody else makes series meanwhile.

    Args:
        most: series of one device.
    """

    def __init__(self, sql: Queries, most: int) -> None:
        self._sql = sql
        self._most = most
        self._known: dict[bytes, int] = {}

    def forget(self) -> None:
        """Look all of them up again: some were deleted."""
        self._known.clear()

    async def ids(self, tx: Connection, wanted: Mapping[bytes, NewSeries]) -> dict[bytes, int]:
        """Give the id of each series; one that a device may not have besides the others has none.

        Should the transaction be undone, this book must not be used any more.
        """
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        missing = [key for key in wanted if key not in self._known]
        if missing:
            for row in await tx.all(self._sql["known_series"], _Known, keys=missing):
                self._known[row.key] = row.id
            new = {key: wanted[key] for key in missing if key not in self._known}
            if new:
                await self._add(tx, new)
        return {key: self._known[key] for key in wanted if key in self._known}

    async def refuse(self, tx: Connection, samples: Mapping[str, int]) -> None:
        """Count samples of series that devices may not have; say it once of each device."""
        rows = await tx.all(
            self._sql["refuse"], _Refused, devices=[*samples], counts=[*samples.values()]
        )
        for row in rows:
            if not row.before:
                _log.warning(
                    "a device has more series than it may; the samples of the others are not "
                    "kept (telemetry.series_per_device)", device=row.device, most=self._most,
                )  # fmt: skip

    async def _add(self, tx: Connection, new: Mapping[bytes, NewSeries]) -> None:
        owners = {one.owner.device: one.owner for one in new.values()}
        await tx.run(
            self._sql["add_devices"],
            devices=[*owners],
            accounts=[one.account for one in owners.values()],
            projects=[one.project for one in owners.values()],
        )
        counts = await tx.all(self._sql["count_of_devices"], _DeviceCount, devices=[*owners])
        room = {row.device: self._most - row.series for row in counts}
        taken: Counter[str] = Counter()
        accepted: dict[bytes, NewSeries] = {}
        for key, one in new.items():
            device = one.owner.device
            if taken[device] < room[device]:
                taken[device] += 1
                accepted[key] = one
        if not accepted:
            return
        made = [*accepted.values()]
        rows = await tx.all(
            self._sql["add_series"],
            _Known,
            accounts=[one.owner.account for one in made],
            projects=[one.owner.project for one in made],
            devices=[one.owner.device for one in made],
            types=[one.type for one in made],
            names=[one.name for one in made],
            labels=[one.labels for one in made],
            counters=[one.counter for one in made],
            keys=[*accepted],
        )
        self._known |= {row.key: row.id for row in rows}
        await tx.run(self._sql["count_series"], devices=[*taken], counts=[*taken.values()])
