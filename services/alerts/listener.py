"""Listens to the projects that have rules about lines, and remembers it when the hub ends."""

import asyncio
import math
import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from hub import Connection, LineFeed, LinePlace, Queries, Unavailable
from services.alerts import contracts as c
from services.alerts.hearing import Ear, Needs

_log = structlog.stdlib.get_logger(__name__)

OF_LINES: Final = frozenset({"error-rate", "silence"})
"""Kinds of rules that need to know of lines."""
_DEAF: Final = timedelta(minutes=2)  # between two looks; more than that, and it counts as not heard
_GRACE: Final = timedelta(seconds=30)  # that devices may need to be back after a hub was away
_OVERLAP: Final = timedelta(minutes=1)  # read twice after a restart: clocks differ
_PATIENCE: Final = 30.0  # seconds that reading a project's lines may take at a time
_OF_ALL: Final = 60.0  # and all of them together; then each has the shortest
_SHORTEST: Final = 1.0
_KEPT: Final = timedelta(days=7)


class _EarRow(msgspec.Struct, frozen=True):
    since: datetime
    until: datetime


class _HeardRow(msgspec.Struct, frozen=True):
    device: str
    stream: str
    at: datetime


class Listener:
    """The ears of all projects that need one."""

    def __init__(self, feed: LineFeed) -> None:
        self._feed = feed
        self._sql = Queries.load("services.alerts")
        self._ears: dict[str, Ear] = {}
        self._ends = math.inf

    def begin(self) -> None:
        """Know nothing but what is written down: who led before may have written on."""
        self._ears.clear()

    async def only(self, tx: Connection, projects: Collection[str]) -> None:
        """Begin a look at these projects, and forget all others: they begin anew, should they."""
        self._ends = time.monotonic() + _OF_ALL
        for project in self._ears.keys() - {*projects}:
            del self._ears[project]
        await tx.run(self._sql["drop_ears"], projects=[*projects])

    async def hear(self, tx: Connection, rules: Collection[c.Rule], now: datetime) -> Ear:
        """Hear what a project has to say to some of its rules, up to now, and write it down.

        Raises:
            Unavailable: it cannot be read now, or not all of it in this time; it goes on then.
        """
        rule = next(iter(rules))
        ear = self._ears.get(rule.project)
        if ear is None or now - ear.tried > _DEAF:
            ear = self._ears[rule.project] = await self._resume(tx, rule, now)
        ear.need(Needs.of(rules), now)
        try:
            left = max(_SHORTEST, min(_PATIENCE, self._ends - time.monotonic()))
            async with asyncio.timeout(left):
                await self._read(rule.project, ear)
        except TimeoutError:
            ear.tried = now  # it goes on from its place: nothing was missed
            raise Unavailable("there are more lines than can be counted at a time") from None
        ear.caught_up(now)
        await self._keep(tx, rule.project, ear)
        return ear

    async def _read(self, project: str, ear: Ear) -> None:
        lines = self._feed.after(project, ear.place, severities=bool(ear.needs.levels))
        async for one in lines:
            ear.note(one)
            await asyncio.sleep(0)  # the relay works on the same loop

    async def _resume(self, tx: Connection, rule: c.Rule, now: datetime) -> Ear:
        """Begin, or go on: what was silent was so only while somebody listened."""
        scope = {"account": rule.account, "project": rule.project}
        before = await tx.maybe(self._sql["ear"], _EarRow, project=rule.project)
        deaf = timedelta(0) if before is None else max(now - before.until, timedelta(0))
        row = await tx.one(self._sql["resume_ear"], _EarRow, **scope, now=now, deaf=deaf)
        await tx.run(self._sql["resume_heard"], project=rule.project, now=now, deaf=deaf)
        rows = await tx.all(self._sql["heard"], _HeardRow, project=rule.project)
        until = now if before is None else before.until
        return Ear(
            row.since,
            until,
            LinePlace(round((until - _OVERLAP).timestamp() * 1e9)),
            {(one.device, one.stream): one.at for one in rows},
            now if before is None else now + _GRACE,
        )

    async def _keep(self, tx: Connection, project: str, ear: Ear) -> None:
        fresh = sorted(ear.fresh)
        async with tx.savepoint():
            await tx.run(
                self._sql["keep_heard"],
                project=project,
                devices=[device for device, _ in fresh],
                streams=[stream for _, stream in fresh],
                ats=[ear.heard[key] for key in fresh],
            )
            await tx.run(
                self._sql["keep_ear"],
                project=project,
                until=ear.until,
                forgotten=ear.until - _KEPT,
            )
        ear.fresh.clear()
