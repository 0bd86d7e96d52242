"""The gateway's way into the log: a deed is on disk before it is done, and then how it ended.

What comes while one transaction is at work goes with the next one, so many requests share a
commit. A beginning is waited for, and refused when Postgres does not take it; an end goes with the
next beginning, or a moment later by itself. A hub that dies in between leaves a beginning without
an end, which the sealer seals as `unknown`.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from hub.audit.deeds import Deed, Facts, Written, to_json, write
from hub.database import Database, Queries
from hub.errors import IsaaxError, Unavailable
from hub.ids import new
from hub.telemetry import Metrics

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.audit")

LEASE: Final = 120.0
"""Seconds after which a beginning without an end is sealed: longer than any request may take."""
_AGAIN: Final = 0.5  # seconds after which ends are tried again
_LINGER: Final = 0.02  # seconds that an end waits for a beginning to go with: half of the commits
_DRAIN: Final = 5.0  # seconds that the last ends may take
_MOST_NOTES: Final = 10_000  # that wait for Postgres


class Begun(msgspec.Struct, frozen=True):
    """A deed that is on disk, and not known to be done yet."""

    entry: str
    deed: Deed


@dataclass(frozen=True, slots=True)
class _Begin:
    written: Written
    durable: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _End:
    """How a deed ended; `late` is the id of the entry that says so should it be sealed already."""

    written: Written
    late: str

    def follow(self) -> Written:
        """Make that entry."""
        facts = msgspec.json.decode(self.written.deed, type=Facts)
        deed = to_json(msgspec.structs.replace(facts, follows=self.written.entry))
        return msgspec.structs.replace(self.written, entry=self.late, deed=deed)


@dataclass(frozen=True, slots=True)
class _Drop:
    """A beginning that came to nothing."""

    entry: str


_Item = _Begin | _End | _Drop | Written


class Journal:
    """Writes deeds down in groups.

    Args:
        sealable: set when something can be sealed.
    """

    def __init__(self, database: Database, sealable: asyncio.Event, metrics: Metrics) -> None:
        self._database = database
        self._sealable = sealable
        self._items: list[_Item] = []
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lost = metrics.counter(
            "isaax_audit_lost_total",
            "Notes for the audit log that were too many while it was away.",
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Write what comes; at the end what is left, as far as Postgres takes it in time."""
        task = asyncio.create_task(self._work(), name="audit-journal")
        try:
            yield
            self._urgent.set()
            try:
                async with asyncio.timeout(_DRAIN):
                    await self._idle.wait()
            except TimeoutError:
                _log.warning("the audit log has not taken every end; the next start seals them")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def begin(self, deed: Deed) -> Begun:
        """Have it on disk that this is about to be done.

        Raises:
            Unavailable: it is not; nothing may be done.
        """
        written = write(msgspec.structs.replace(deed, outcome="unknown"))
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Begin(written, durable))
        self._urgent.set()
        await durable
        return Begun(written.entry, deed)

    def end(self, begun: Begun, deed: Deed) -> None:
        """Say how it ended."""
        self._put(_End(write(deed, entry=begun.entry), new("aud")))

    def drop(self, begun: Begun) -> None:
        """Forget a beginning: nothing was done, and it is told in another way."""
        self._put(_Drop(begun.entry))

    def note(self, deed: Deed) -> None:
        """Record what is over: a refusal, or an answer that was given again."""
        if len(self._items) >= _MOST_NOTES:
            self._lost.inc()
            return
        self._put(write(deed))

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        self._idle.clear()
        self._wake.set()

    async def _work(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN if self._items else None):
                    await self._wake.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._urgent.wait()
            self._wake.clear()
            self._urgent.clear()
            items, self._items = self._items, []
            self._items[:0] = await self._write_down(items)
            if not self._items:
                self._idle.set()

    async def _write_down(self, items: Sequence[_Item]) -> list[_Item]:
        """Write a group; give those that are to be tried again."""
        try:
            await self._write(items)
        except Unavailable as error:
            for item in items:
                if isinstance(item, _Begin):
                    _refuse(item, Unavailable(f"the audit log is not written: {error.detail}"))
            return [item for item in items if not isinstance(item, _Begin)]
        except Exception:  # noqa: BLE001 - one that cannot be written must not hold up the others
            if len(items) > 1:
                return [kept for item in items for kept in await self._write_down([item])]
            _log.exception("the audit log does not take this")
            for item in items:
                if isinstance(item, _Begin):
                    _refuse(item, IsaaxError("the audit log does not take this"))
            return []
        for item in items:
            if isinstance(item, _Begin) and not item.durable.done():
                item.durable.set_result(None)
        if any(not isinstance(item, _Begin) for item in items):
            self._sealable.set()
        return []

    async def _write(self, items: Sequence[_Item]) -> None:
        begun = [item.written for item in items if isinstance(item, _Begin)]
        ends = [item for item in items if isinstance(item, _End)]
        whole = [item for item in items if isinstance(item, Written)]
        dropped = [item.entry for item in items if isinstance(item, _Drop)]
        async with self._database.statements() as one:
            known = await one.run(
                _SQL["note"],
                dropped_entries=dropped,
                **_columns("begun", begun),
                **_columns("whole", whole),
                **_columns("ended", [end.written for end in ends], but=("users", "origins")),
            )
        if known < len(ends):
            await self._follow(ends)

    async def _follow(self, ends: Sequence[_End]) -> None:
        """Add the entries that say how those ended that were sealed without an end."""
        entries = [end.written.entry for end in ends]
        async with self._database.statements() as one:
            late = set(await one.all(_SQL["sealed_unknown"], str, entries=entries))
        if late:
            await self._write([end.follow() for end in ends if end.written.entry in late])


def _columns(
    prefix: str, rows: Sequence[Written], *, but: Collection[str] = ()
) -> dict[str, list[str | None]]:
    columns: dict[str, list[str | None]] = {
        "entries": [row.entry for row in rows],
        "accounts": [row.account for row in rows],
        "users": [row.user for row in rows],
        "deeds": [row.deed for row in rows],
        "origins": [row.origin for row in rows],
        "contents": [row.content for row in rows],
    }
    return {f"{prefix}_{name}": column for name, column in columns.items() if name not in but}


def _refuse(item: _Begin, error: IsaaxError) -> None:
    if not item.durable.done():
        item.durable.set_exception(error)
