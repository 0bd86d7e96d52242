"""Looks at all rules again and again: the work of one leader."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec
import structlog

from hub import SEVERITIES, Bus, Connection, Ingest, IsaaxError, Lines, Queries
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.judging import Seen, Standing, Verdict, judge, of_device, of_series

_log = structlog.stdlib.get_logger(__name__)

LEADER: Final = 0x616C7274
"""Advisory lock of the leader ("alrt" in ASCII)."""

_EVERY: Final = 15.0  # seconds between looks
_PAGE: Final = 200
_SERIES: Final = 100  # of a page: an answer holds a megabyte, so 10 KB of labels for each
_KEPT: Final = timedelta(days=90)
_RESOLVED: Final = "notice"
_USER: Final = 1 * 8  # RFC 5424: facility user


class _StateRow(msgspec.Struct, frozen=True):
    rule: str
    device: str
    subject: str
    since: datetime
    firing: bool


class _Untold(msgspec.Struct, frozen=True):
    number: int
    project: str
    host: str
    severity: str
    text: str
    at: int


class Watcher:
    """Compares what is with what rules look for, writes down what is new, and tells it.

    Args:
        ingest: takes what is told as lines of the project's stream `agent`.
        clock: Unix seconds.
    """

    def __init__(self, bus: Bus, ingest: Ingest, *, clock: Callable[[], float] = time.time) -> None:
        self._bus = bus
        self._ingest = ingest
        self._clock = clock
        self._sql = Queries.load("services.alerts")

    async def lead(self, tx: Connection) -> None:
        """Look and tell, until the connection is lost or it is cancelled."""
        while True:
            await self.look(tx)
            await self.tell(tx)
            await asyncio.sleep(_EVERY)

    async def look(self, tx: Connection) -> None:
        """Look at every rule once. A project about which nobody answers waits for the next time."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        rules = await tx.all(self._sql["enabled_rules"], c.Rule)
        for project, some in groupby(rules, key=lambda rule: rule.project):
            try:
                await self._look_at(tx, project, list(some), now)
            except IsaaxError as error:
                _log.warning("alert rules wait", project=project, reason=error.detail)
        await tx.run(self._sql["drop_old_events"], before=now - _KEPT)

    async def tell(self, tx: Connection) -> None:
        """Give what is new to the project's integrations; what fails is told the next time.

        Should we end in between, it is told twice rather than not at all.
        """
        for event in await tx.all(self._sql["untold"], _Untold):
            priority = _USER + SEVERITIES.index(event.severity)
            lines = Lines([event.at], priority, "alerts", [event.text])
            try:
                await self._ingest.submit(
                    event.project, "alerts", event.host, lines, stream="agent", overdraw=True
                )
            except IsaaxError as error:
                _log.warning("an alert waits", project=event.project, reason=error.detail)
                continue
            await tx.run(self._sql["told"], numbers=[event.number])

    async def _look_at(
        self, tx: Connection, project: str, rules: list[c.Rule], now: datetime
    ) -> None:
        account = rules[0].account
        devices = [device async for device in self._devices(account, project)]
        rows = await tx.all(self._sql["states"], _StateRow, project=project)
        for rule in rules:
            meant = [one for one in devices if rule.group in ("", one.group)]
            before = {
                (row.device, row.subject): Standing(row.since, row.firing)
                for row in rows
                if row.rule == rule.id
            }
            seen = await self._seen(rule, meant, now)
            verdicts = {
                (one.device, one.subject): (
                    one, judge(rule, before.get((one.device, one.subject)), one, now),
                )
                for one in seen
            }  # fmt: skip
            gone = _unseen(before, verdicts.keys(), {one.id for one in meant})
            await self._note(tx, rule, verdicts.values(), gone, now)

    async def _devices(self, account: str, project: str) -> AsyncIterator[peers.Device]:
        after, more = 0, True
        while more:
            page = await self._bus.request(
                peers.LIST_DEVICES,
                peers.ListDevices(account, project, _PAGE, after, status="active"),
            )
            for device in page.items:
                yield device
                after = device.number
            more = page.more

    async def _seen(self, rule: c.Rule, devices: list[peers.Device], now: datetime) -> list[Seen]:
        if rule.kind == "offline":
            return [seen for one in devices if (seen := of_device(rule, one)) is not None]
        by_id = {one.id: one for one in devices}
        return [
            of_series(rule, by_id[series.device], series)
            async for series in self._series(rule, now)
            if series.device in by_id
        ]

    async def _series(self, rule: c.Rule, now: datetime) -> AsyncIterator[peers.RecentSeries]:
        since = now - timedelta(minutes=rule.minutes)
        after, more = 0, True
        while more:
            page = await self._bus.request(
                peers.RECENT,
                peers.RecentOf(rule.account, rule.project, rule.metric, since, now, _SERIES, after),
            )
            for series in page.items:
                yield series
                after = series.number
            more = page.more

    async def _note(
        self,
        tx: Connection,
        rule: c.Rule,
        verdicts: Collection[tuple[Seen, Verdict]],
        gone: list[tuple[str, str]],
        now: datetime,
    ) -> None:
        kept = [(seen, v.standing) for seen, v in verdicts if v.standing is not None]
        over = [(seen.device, seen.subject) for seen, v in verdicts if v.standing is None]
        async with tx.savepoint():
            for seen, verdict in verdicts:
                if verdict.tells is not None:
                    fired = verdict.tells == "fired"
                    await tx.run(
                        self._sql["add_event"],
                        rule=rule.id,
                        version=rule.version,
                        device=seen.device,
                        host=seen.host,
                        subject=seen.subject,
                        state=verdict.tells,
                        severity=rule.severity if fired else _RESOLVED,
                        text=seen.fired if fired else seen.resolved,
                        at=now,
                    )
            await tx.run(
                self._sql["keep_state"],
                rules=[rule.id] * len(kept),
                versions=[rule.version] * len(kept),
                devices=[seen.device for seen, _ in kept],
                subjects=[seen.subject for seen, _ in kept],
                sinces=[standing.since for _, standing in kept],
                firings=[standing.firing for _, standing in kept],
            )
            dropped = [*over, *gone]
            await tx.run(
                self._sql["drop_state"],
                rules=[rule.id] * len(dropped),
                devices=[device for device, _ in dropped],
                subjects=[subject for _, subject in dropped],
            )


def _unseen(
    before: "dict[tuple[str, str], Standing]",
    seen: "Iterable[tuple[str, str]]",
    devices: set[str],
) -> list[tuple[str, str]]:
    """Give what is to be forgotten of what nothing is known any more.

    What was told of a device that is still there stays as it is: that it says nothing is no reason
    to believe that all is well.
    """
    known = {*seen}
    return [
        key
        for key, standing in before.items()
        if key not in known and (key[0] not in devices or not standing.firing)
    ]
