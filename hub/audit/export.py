"""Sending logs through the relay: each entry is a line in a project's stream, once and in order.

From there every integration whose filter lets the program `audit` through takes it. What is in the
stream is known from the stream itself (`Ingest.series`), so a hub that dies in between sends
nothing twice and leaves nothing out.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from hub.audit.deeds import Outcome
from hub.audit.records import AuditEntry, Record, shown
from hub.database import Connection, Database, Queries
from hub.errors import IsaaxError, LimitReached
from hub.protocol import MAX_MESSAGE_BYTES, Lines
from hub.relay.ingest import Ingest

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.audit")

SOURCE: Final = "audit"
HOST: Final = "isaax"
PROGRAM: Final = "audit"
STREAM: Final = "sys"
_FACILITY: Final = 13  # "log audit" (RFC 5424, 6.2.1, table 1)
_SEVERITIES: Final[dict[Outcome, int]] = {"done": 5, "refused": 4, "failed": 4, "unknown": 3}
_POLL: Final = 1.0
_AT_ONCE: Final = 200
_AGAIN: Final = 5.0  # seconds after which a project that did not take lines is tried again


class Export(msgspec.Struct, frozen=True):
    """Where an account's log goes.

    Args:
        project: into whose stream; "": nowhere.
        boot: names the numbering of its lines there.
        after: the last entry that does not go there; sent: the last that has arrived.
        head: the last entry that there is.
    """

    account: str
    project: str
    boot: int
    after: int
    sent: int
    head: int


async def get(database: Database, account: str) -> Export | None:
    """Give where an account's log goes; None when it was never said."""
    async with database.transaction(account=account) as tx:
        return await tx.maybe(_SQL["get_export"], Export, account=account)


async def put(database: Database, account: str, project: str) -> None:
    """Send an account's log into a project from now on; the same one again changes nothing."""
    boot = time.time_ns() // 1_000
    async with database.system() as tx:  # a project that is hidden may be the present one
        await tx.run(_SQL["put_export"], account=account, project=project, boot=boot)


async def end(database: Database, account: str, *, project: str = "") -> None:
    """Send an account's log nowhere any more.

    Args:
        project: only if it goes there.
    """
    async with database.system() as tx:
        if project:
            await tx.run(_SQL["end_export_into"], account=account, project=project)
        else:
            await tx.run(_SQL["end_export"], account=account)


class Exporter:
    """Sends what was sealed: one of a hub's processes does.

    Args:
        sealed: set when there may be something to send.
        again: seconds; see `_AGAIN`.
    """

    def __init__(
        self, database: Database, ingest: Ingest, sealed: asyncio.Event, *, again: float = _AGAIN
    ) -> None:
        self._database = database
        self._ingest = ingest
        self._sealed = sealed
        self._again = again
        self._later: dict[str, float] = {}  # by account: when it is tried again (the loop's clock)

    async def lead(self, tx: Connection) -> None:
        """Send, as the one that does, until the connection is lost or it is cancelled."""
        while True:
            await tx.one(_SQL["lead"], int)
            self._sealed.clear()
            more = False
            try:
                more = await self.send()
            except IsaaxError as error:
                _log.warning("the audit log is not sent now", reason=str(error))
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await self._sealed.wait()

    async def send(self) -> bool:
        """Send what is there, some of each account; say whether there is more to send at once."""
        async with self._database.system() as tx:
            behind = await tx.all(_SQL["exports_behind"], Export)
        more = False
        for export in behind:
            now = asyncio.get_running_loop().time()
            if now < self._later.get(export.account, 0.0):
                continue
            self._later.pop(export.account, None)
            try:
                more |= await self._send(export)
            except IsaaxError as error:
                wait = error.retry_after if isinstance(error, LimitReached) else self._again
                self._later[export.account] = now + max(wait, 0.1)
                _log.warning("an audit log waits", account=export.account, reason=str(error))
        return more

    async def _send(self, export: Export) -> bool:
        """Send some entries of one account; say whether there is more."""
        series = self._ingest.series(export.project, SOURCE, HOST, boot=export.boot, stream=STREAM)
        await series.look()
        after = export.after + series.taken
        async with self._database.system() as tx:
            records = await tx.all(
                _SQL["walk"], Record, account=export.account, after=after, limit=_AT_ONCE
            )
        await series.submit(_lines(records))
        sent = export.after + series.stored
        async with self._database.system() as tx:
            await tx.run(_SQL["note_sent"], account=export.account, boot=export.boot, sent=sent)
        return len(records) == _AT_ONCE


def _lines(records: Sequence[Record]) -> Lines:
    entries = [record.entry() for record in records]
    return Lines(
        [entry.at for entry in entries],
        [_FACILITY * 8 + _SEVERITIES[entry.outcome] for entry in entries],
        PROGRAM,
        [line_of(shown(record)) for record in records],
    )


def line_of(entry: AuditEntry) -> str:
    """Write an entry as the JSON that the API answers; what is too long for a line stays behind."""
    text = msgspec.json.encode(entry)
    if len(text) > MAX_MESSAGE_BYTES:
        note = "before and after are too long for a line: ask the API"
        short = msgspec.structs.replace(entry, before=None, after=None, notes=[note])
        text = msgspec.json.encode(short)
    return text.decode()
