"""Keeps what devices measure: the work of the one leader, on the connection that holds its lock.

Samples, and the place up to which they were read, are written in one transaction: each sample is
kept once, whatever ends in between. Whoever else should take itself for the leader has lost that
connection, and can write nothing on it.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from hub import Bus, Connection, MetricFeed, MetricPlace, Metrics, Queries, TakenSamples
from hub.relay.contracts import PROJECT_ACCOUNTS, AccountsOf
from services.telemetry.columns import Row, columns_of, due_hours
from services.telemetry.rolling import Roller
from services.telemetry.series import SeriesBook
from services.telemetry.settings import TelemetrySettings
from services.telemetry.upkeep import Upkeep

LEADER: Final = 0x74656C6D
GONE: Final = 0x74656C67
"""Advisory locks: of the leader, and between keeping and deleting ("telm", "telg" in ASCII)."""

_IDLE: Final = 1.0  # seconds between looks at what else there is to do
_MOST_PROJECTS: Final = 100_000


class _Placed(msgspec.Struct, frozen=True):
    shard: int
    sequence: int
    time: int


class Keeper:
    """Writes samples down, and rolls them up.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        feed: MetricFeed,
        bus: Bus,
        settings: TelemetrySettings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._feed = feed
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._sql = Queries.load("services.telemetry")
        self._accounts: dict[str, str] = {}
        self._counted = metrics.counter(
            "isaax_telemetry_samples_total",
            "Samples by what became of them: kept, too_old (telemetry.keep_days), no_series "
            "(telemetry.series_per_device), gone (their device or project was deleted).",
            ("outcome",),
        )

    async def lead(self, tx: Connection) -> None:
        """Keep what comes, until the connection is lost or it is cancelled.

        Raises:
            Unavailable: JetStream, Postgres or the service `projects` does not answer.
        """
        book = SeriesBook(self._sql, self._settings.series_per_device)
        upkeep = Upkeep(self._sql, self._settings, clock=self._clock)
        roller = Roller(self._sql, GONE, clock=self._clock)
        await upkeep.run(tx)
        rows = await tx.all(self._sql["places"], _Placed)
        places = {row.shard: MetricPlace(row.sequence, row.time) for row in rows}
        async with self._feed.follow(places) as following:
            while True:
                taken = await following.next(_IDLE)
                if taken is not None:
                    await self.keep(tx, taken, book)
                await roller.step(tx)
                if upkeep.is_due:
                    await upkeep.run(tx)
                    book.forget()

    async def keep(self, tx: Connection, taken: TakenSamples, book: SeriesBook) -> None:
        """Write down what was taken, and the place after it."""
        now = int(self._clock() * 1_000_000)
        await self._learn({chunk.project for chunk in taken.chunks})
        columns = columns_of(taken, self._accounts, now=now)
        unowned = sum(map(len, taken.chunks)) - len(columns.rows)
        outcomes: Counter[str] = Counter(gone=unowned)
        async with tx.savepoint():
            await tx.run(self._sql["share_lock"], lock=GONE)
            rows = await self._living(tx, columns.rows, outcomes)
            rows = self._recent(rows, now, outcomes)
            wanted = {row.key: columns.series[row.key] for row in rows}
            ids = await book.ids(tx, wanted)
            refused = Counter(row.owner.device for row in rows if row.key not in ids)
            if refused:
                await book.refuse(tx, refused)
                rows = [row for row in rows if row.key in ids]
            outcomes.update(kept=len(rows), no_series=refused.total())
            if rows:
                await self._write(tx, rows, ids, now)
            place = taken.place
            await tx.run(
                self._sql["set_place"],
                shard=taken.shard,
                sequence=place.sequence,
                time=place.time,
            )
        for outcome, count in outcomes.items():
            self._counted.labels(outcome).inc(count)

    async def _learn(self, projects: set[str]) -> None:
        """Ask whose the projects are that nobody has asked about; one that is gone has nobody."""
        unknown = sorted(projects - self._accounts.keys())
        if not unknown:
            return
        if len(self._accounts) > _MOST_PROJECTS:
            self._accounts.clear()
            unknown = sorted(projects)
        answer = await self._bus.request(PROJECT_ACCOUNTS, AccountsOf(unknown))
        self._accounts |= answer.accounts

    async def _living(self, tx: Connection, rows: list[Row], outcomes: "Counter[str]") -> list[Row]:
        owners = {row.owner for row in rows}
        ids = {id_ for one in owners for id_ in (one.account, one.project, one.device)}
        gone = {*await tx.all(self._sql["gone"], str, ids=[*ids])}
        if not gone:
            return rows
        dead = {one for one in owners if {one.account, one.project, one.device} & gone}
        left = [row for row in rows if row.owner not in dead]
        outcomes["gone"] += len(rows) - len(left)
        return left

    def _recent(self, rows: list[Row], now: int, outcomes: "Counter[str]") -> list[Row]:
        first = datetime.fromtimestamp(now / 1e6, UTC) - timedelta(days=self._settings.keep_days)
        oldest = int(first.timestamp() * 1_000_000)
        left = [row for row in rows if row.at >= oldest]
        outcomes["too_old"] += len(rows) - len(left)
        return left

    async def _write(
        self, tx: Connection, rows: list[Row], ids: dict[bytes, int], now: int
    ) -> None:
        await tx.run(
            self._sql["add_samples"],
            accounts=[row.owner.account for row in rows],
            series=[ids[row.key] for row in rows],
            times=[row.at for row in rows],
            values=[row.value for row in rows],
        )
        due = list(due_hours(rows, now))
        await tx.run(
            self._sql["add_due"],
            devices=[owner.device for owner, _ in due],
            hours=[hour for _, hour in due],
            accounts=[owner.account for owner, _ in due],
        )
