"""The sealer: chains what was told, so that nobody changes, drops or moves it unnoticed.

Of all that run on a database one works at a time. It does so on the connection that holds its
lock: should it lose the lock, it has lost the transaction too, so no two chain at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import structlog

from hub.audit.chain import START, Head, Link, Value, entry_of, link
from hub.audit.deeds import PARTS, Facts
from hub.audit.journal import LEASE
from hub.database import Connection, Database, Queries, QueryError
from hub.errors import Conflict, Invalid
from hub.leader import stand
from hub.telemetry import Metrics

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.audit")
_LOCK: Final = 0x6175646974  # any number that nobody else locks ("audit" in ASCII)
_POLL: Final = 0.5
_LINGER: Final = 0.2  # seconds in which what is told is chained together: it costs less
_AT_ONCE: Final = 500
_MEASURE: Final = 5.0
_BLOCK: Final = 60.0  # seconds after which a chain that cannot go on is tried again
_BROKEN: Final = (Conflict, Invalid, QueryError)
_HEADS: Final = 3600.0  # seconds between two times that the heads go into the hub's own log


class _Pending(msgspec.Struct, frozen=True):
    id: int
    entry: str
    account: str
    deed: str
    origin: str | None
    content: str | None
    at: int
    sealed_at: int


class _Chain(msgspec.Struct, frozen=True):
    account: str
    seq: int
    hash: bytes
    erased: bool


class _Backlog(msgspec.Struct, frozen=True):
    pending: int
    oldest: float


class _Sealed(msgspec.Struct, frozen=True):
    """One entry, about to be written."""

    account: str
    seq: int
    project: str
    link: Link
    values: list[Value]


class Sealer:
    """Chains what was told.

    Args:
        told: set when there may be something to seal; sealed: set when something was.
        lease: seconds; see `LEASE`.
        election: seconds between the attempts to become the one that works.
    """

    def __init__(
        self,
        database: Database,
        told: asyncio.Event,
        sealed: asyncio.Event,
        metrics: Metrics,
        *,
        lease: float = LEASE,
        election: float = 1.0,
    ) -> None:
        self._database = database
        self._told = told
        self._sealed = sealed
        self._lease = lease
        self._election = election
        self._moved: dict[str, Head] = {}
        self._blocked: dict[str, float] = {}  # accounts, until when (the loop's clock)
        self._pending = metrics.gauge(
            "isaax_audit_pending", "Deeds that are not chained yet; 0 where another hub does it."
        )
        self._oldest = metrics.gauge("isaax_audit_oldest_seconds", "Age of the oldest of them.")
        self._entries = metrics.counter("isaax_audit_entries_total", "Entries that were chained.")

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Stand for election, and seal while elected, for as long as the context is open."""
        task = asyncio.create_task(
            stand("audit sealer", self._database, _LOCK, self._lead, election=self._election)
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _lead(self, tx: Connection) -> None:
        """Seal until the connection that holds the lock is gone."""
        _log.info("audit sealer leads")
        loop = asyncio.get_running_loop()
        measure_at, heads_at = loop.time(), loop.time() + _HEADS
        try:
            while True:
                self._told.clear()
                if loop.time() >= measure_at:
                    await self._measure(tx)
                    measure_at = loop.time() + _MEASURE
                if loop.time() >= heads_at:
                    self._tell_heads()
                    heads_at = loop.time() + _HEADS
                if not await self._pass(tx):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL):
                            await self._told.wait()
                    await asyncio.sleep(_LINGER)
        finally:
            self._tell_heads()
            self._pending.set(0)
            self._oldest.set(0)

    async def _measure(self, tx: Connection) -> None:
        backlog = await tx.one(_SQL["backlog"], _Backlog)
        self._pending.set(backlog.pending)
        self._oldest.set(backlog.oldest)

    def _tell_heads(self) -> None:
        """Put heads where a thief of the database does not reach: a chain cut short is noticed."""
        for account, head in self._moved.items():
            _log.info("audit head", account=account, head=str(head))
        self._moved.clear()

    async def _pass(self, tx: Connection) -> int:
        """Seal one group; give how many entries that were."""
        now = asyncio.get_running_loop().time()
        self._blocked = {account: at for account, at in self._blocked.items() if at > now}
        try:
            return await self._group(tx)
        except _BROKEN:  # somebody has changed a chain: the other accounts' go on
            _log.warning("deeds of several accounts cannot be chained together")
        sealed = 0
        for account in await tx.all(_SQL["waiting"], str, blocked=[*self._blocked]):
            try:
                sealed += await self._group(tx, account)
            except _BROKEN:
                self._blocked[account] = now + _BLOCK
                _log.exception("a chain cannot go on: run `isaax audit verify`", account=account)
        return sealed

    async def _group(self, tx: Connection, account: str = "") -> int:
        """Seal what is ready, of one account or of all."""
        async with tx.savepoint():  # outside of a transaction: one of its own
            rows = await tx.all(
                _SQL["ready"],
                _Pending,
                lease=self._lease,
                limit=_AT_ONCE,
                blocked=[*self._blocked],
                only=account,
            )
            if not rows:
                return 0
            accounts = sorted({row.account for row in rows})
            chains = await tx.all(_SQL["heads"], _Chain, accounts=accounts)
            by_account = {chain.account: chain for chain in chains}
            sealed: list[_Sealed] = []
            heads: dict[str, Head] = {}
            for row in rows:
                chain = by_account.get(row.account)
                known = START if chain is None else Head(chain.seq, chain.hash)
                head = heads.get(row.account, known)
                one = _seal(row, head, erased=chain is not None and chain.erased)
                sealed.append(one)
                heads[row.account] = Head(one.seq, one.link.hash)
            await _write(tx, rows, sealed, heads)
        self._moved |= heads
        self._entries.inc(len(sealed))
        self._sealed.set()
        return len(sealed)


def _seal(row: _Pending, head: Head, *, erased: bool) -> _Sealed:
    """Give a deed its place behind the head.

    Args:
        erased: no values are kept of this account any more.
    """
    texts = {} if erased else {"origin": row.origin, "content": row.content}
    values = [Value.of(part, text) for part in PARTS if (text := texts.get(part)) is not None]
    entry = entry_of(
        _facts(row),
        account=row.account,
        seq=head.seq + 1,
        id=row.entry,
        at=row.at,
        sealed_at=row.sealed_at,
        values=values,
    )
    return _Sealed(row.account, entry.seq, entry.project, link(entry, head.hash), values)


def _facts(row: _Pending) -> Facts:
    try:
        return msgspec.json.decode(row.deed, type=Facts)
    except msgspec.DecodeError as error:
        _log.error("a deed cannot be read", entry=row.entry, error=str(error))
        return Facts("audit.unreadable", "Something that this hub cannot read")


async def _write(
    tx: Connection, rows: Sequence[_Pending], sealed: Sequence[_Sealed], heads: dict[str, Head]
) -> None:
    values = [(one, value) for one in sealed for value in one.values]
    await tx.run(
        _SQL["seal"],
        entries=[one.link.text for one in sealed],
        previous=[one.link.previous for one in sealed],
        hashes=[one.link.hash for one in sealed],
        value_accounts=[one.account for one, _ in values],
        value_seqs=[one.seq for one, _ in values],
        parts=[value.part for _, value in values],
        projects=[one.project for one, _ in values],
        salts=[value.salt for _, value in values],
        values=[value.value for _, value in values],
        accounts=list(heads),
        seqs=[head.seq for head in heads.values()],
        heads=[head.hash for head in heads.values()],
        pending=[row.id for row in rows],
    )
