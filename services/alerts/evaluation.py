"""Looks at all rules again and again: the work of one leader."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec
import structlog

from hub import (
    SEVERITIES,
    Bus,
    Connection,
    Ingest,
    IsaaxError,
    LineFeed,
    Lines,
    NotFound,
    Queries,
)
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.hearing import Ear
from services.alerts.judging import (
    Seen,
    Standing,
    Verdict,
    judge,
    of_bad_lines,
    of_device,
    of_series,
    of_silence,
)
from services.alerts.listener import OF_LINES, Listener

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
        feed: gives what devices send, to rules about lines.
        clock: Unix seconds.
    """

    def __init__(
        self,
        bus: Bus,
        ingest: Ingest,
        feed: LineFeed,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._ingest = ingest
        self._listener = Listener(feed)
        self._clock = clock
        self._sql = Queries.load("services.alerts")
        self._waits: dict[str, str] = {}  # why, by project

    async def lead(self, tx: Connection) -> None:
        """Look and tell, until the connection is lost or it is cancelled."""
        self._listener.begin()
        while True:
            await self.look(tx)
            await self.tell(tx)
            await asyncio.sleep(_EVERY)

    async def look(self, tx: Connection) -> None:
        """Look at every rule once. A project about which nobody answers waits for the next time."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        rules = await tx.all(self._sql["enabled_rules"], c.Rule)
        listening = {rule.project for rule in rules if rule.kind in OF_LINES}
        await self._listener.only(tx, listening)
        for project, some in groupby(rules, key=lambda rule: rule.project):
            try:
                await self._look_at(tx, project, list(some), now)
            except IsaaxError as error:
                if self._waits.get(project) != error.detail:
                    _log.warning("alert rules wait", project=project, reason=error.detail)
                self._waits[project] = error.detail
            else:
                self._waits.pop(project, None)
        await tx.run(self._sql["drop_old_events"], before=now - _KEPT)

    async def tell(self, tx: Connection) -> None:
        """Give what is new to the project's integrations; what fails is told the next time.

        Should we end in between, it is told twice rather than not at all.
        """
        waiting: set[str] = set()  # projects of which nothing more is told this time
        while events := await tx.all(self._sql["untold"], _Untold, waiting=sorted(waiting)):
            for event in events:
                if event.project not in waiting and not await self._tell(tx, event):
                    waiting.add(event.project)

    async def _tell(self, tx: Connection, event: _Untold) -> bool:
        priority = _USER + SEVERITIES.index(event.severity)
        lines = Lines([event.at], priority, "alerts", [event.text])
        try:
            await self._ingest.submit(
                event.project, "alerts", event.host, lines, stream="agent", overdraw=True
            )
        except IsaaxError as error:
            _log.warning("an alert waits", project=event.project, reason=error.detail)
            return False
        await tx.run(self._sql["told"], numbers=[event.number])
        return True

    async def _look_at(
        self, tx: Connection, project: str, rules: list[c.Rule], now: datetime
    ) -> None:
        ear = await self._hear(tx, rules, now)
        if ear is None:
            rules = [rule for rule in rules if rule.kind not in OF_LINES]
        devices = await self._concerned(project, rules)
        rows = await tx.all(self._sql["states"], _StateRow, project=project)
        for rule in rules:
            meant = [one for one in devices if _concerns(rule, one)]
            before = {
                (row.device, row.subject): Standing(row.since, row.firing)
                for row in rows
                if row.rule == rule.id
            }
            seen = await self._seen(rule, meant, ear, now)
            verdicts = {
                (one.device, one.subject): (
                    one, judge(rule, before.get((one.device, one.subject)), one, now),
                )
                for one in seen
            }  # fmt: skip
            gone = _unseen(before, verdicts.keys(), {one.id for one in meant})
            await self._note(tx, rule, verdicts.values(), gone, now)

    async def _hear(self, tx: Connection, rules: list[c.Rule], now: datetime) -> Ear | None:
        """Hear what rules about lines need; None when that cannot be known now."""
        wanted = [rule for rule in rules if rule.kind in OF_LINES]
        if not wanted:
            return None
        try:
            return await self._listener.hear(tx, wanted, now)
        except IsaaxError as error:
            _log.warning("alerts of lines wait", project=rules[0].project, reason=error.detail)
            return None

    async def _concerned(self, project: str, rules: list[c.Rule]) -> list[peers.Device]:
        """Give the devices that any of these rules concerns: of a group or two, no others."""
        if not rules:
            return []
        account = rules[0].account
        groups = {rule.group for rule in rules if not rule.device}
        found = {
            device.id: device
            for group in ([""] if "" in groups else sorted(groups))
            async for device in self._devices(account, project, group)
        }
        if "" not in groups:
            for name in sorted({rule.device for rule in rules if rule.device} - found.keys()):
                device = await self._device(account, name)
                if device is not None and device.project == project:
                    found[name] = device
        return sorted(found.values(), key=lambda device: device.number)

    async def _device(self, account: str, device: str) -> peers.Device | None:
        try:
            found = await self._bus.request(peers.GET_DEVICE, peers.OneDevice(account, device))
        except NotFound:
            return None
        return found if found.status == "active" else None

    async def _devices(self, account: str, project: str, group: str) -> AsyncIterator[peers.Device]:
        after, more = 0, True
        while more:
            page = await self._bus.request(
                peers.LIST_DEVICES,
                peers.ListDevices(account, project, _PAGE, after, group, status="active"),
            )
            for device in page.items:
                yield device
                after = device.number
            more = page.more

    async def _seen(
        self, rule: c.Rule, devices: list[peers.Device], ear: Ear | None, now: datetime
    ) -> list[Seen]:
        if rule.kind == "offline":
            return [seen for one in devices if (seen := of_device(rule, one)) is not None]
        if ear is not None and rule.kind == "error-rate":
            return [of_bad_lines(rule, one, ear.bad(rule, one.id), now) for one in devices]
        if ear is not None and rule.kind == "silence":
            return [of_silence(rule, one, ear, now) for one in devices]
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


def _concerns(rule: c.Rule, device: peers.Device) -> bool:
    return rule.device == device.id if rule.device else rule.group in ("", device.group)


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
