"""What one process alone may do: deliver a part, for two would send every line twice.

Whoever delivers part n holds an advisory lock of that number on a session of its own in Postgres,
which lets go of it when the process is gone, however it went. Deliveries do not stop while
Postgres is away. So whoever gets the lock asks on the bus, too, whether somebody delivers, and
leaves the lock to them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from hub.database import Connection, Database, Queries
from hub.errors import StartError, Unavailable
from hub.relay.tasks import Tasks

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.relay", "lease.sql")

_PATIENCE: Final = 15.0
"""Seconds that a start waits for one that is about to end, or of whose end Postgres knows nothing
yet."""

_LOOK: Final = 0.5  # seconds between two attempts to get the lock
_BEAT: Final = 2.0  # seconds between two looks at the session that holds it
_GIVE_UP: Final = 15.0
"""Seconds after which one that lost its lock to another ends: longer than any start looks."""


class LeaseLost(Exception):  # noqa: N818 - says what happened
    """Another process has begun to do the same."""


@dataclass(frozen=True, slots=True)
class Office:
    """What one process alone does.

    Args:
        kind, number: of its lock in Postgres: two numbers of 32 bits that nobody else uses.
        held: says that another process does it; remedy: what to do about that.
    """

    kind: int
    number: int
    held: str
    remedy: str


def delivery_of(part: int) -> Office:
    """Give the office of whoever delivers a part."""
    return Office(
        0x70617274,  # "part"
        part,
        f"another process delivers part {part}",
        "Stop it, or give each process that delivers a relay.part of its own (where relay.parts "
        "is 1, only one may: the others need relay.delivers = false)",
    )


def _nothing() -> None:
    """Do nothing."""


class Lease:
    """The right to do what one process alone may.

    Args:
        answers: says whether another process does it; asked with the lock in hand.
        waits: called once, when somebody else is found to do it.
        patience: seconds that a start waits for another one to end.
        give_up: seconds after which a lock that another one holds is taken for lost.
    """

    def __init__(
        self,
        database: Database,
        office: Office,
        answers: Callable[[], Awaitable[bool]],
        *,
        waits: Callable[[], None] = _nothing,
        patience: float = _PATIENCE,
        give_up: float = _GIVE_UP,
    ) -> None:
        self._database = database
        self._office = office
        self._answers = answers
        self._waits = waits
        self._patience = patience
        self._give_up = give_up
        self._session = AsyncExitStack()

    @asynccontextmanager
    async def held(self, tasks: Tasks) -> AsyncIterator[None]:
        """Hold it while this is open.

        Args:
            tasks: one of them looks after the lock; it fails with `LeaseLost`.

        Raises:
            StartError: another process does it, and does not end.
            Unavailable: Postgres does not answer.
        """
        async with self._session:
            connection = await self._open()
            await self._take(connection)
            keeping = tasks.start(self._keep(connection))
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.wait({keeping})

    async def _take(self, connection: Connection) -> None:
        deadline = time.monotonic() + self._patience
        is_told = False
        while not await self._try(connection):
            if time.monotonic() >= deadline:
                raise StartError(f"{self._office.held}. {self._office.remedy}")
            if not is_told:
                _log.info("waiting", reason=self._office.held)
                self._waits()
                is_told = True
            await asyncio.sleep(_LOOK)

    async def _keep(self, connection: Connection) -> None:
        """Look after the lock, and get it again when the session broke.

        Raises:
            LeaseLost: another process holds it, and does not let go of it.
        """
        holds, waits_since = True, 0.0
        while True:
            await asyncio.sleep(_BEAT if holds else _LOOK)
            try:
                if holds:
                    await connection.one(_SQL["beat"], int)
                    continue
                if connection.raw.is_closed():
                    connection = await self._open()
                if await self._get(connection):
                    _log.info("a lock is held again", number=self._office.number)
                    holds, waits_since = True, 0.0
                elif not waits_since:
                    waits_since = time.monotonic()
                elif time.monotonic() - waits_since > self._give_up:
                    raise LeaseLost(self._office.held)
            except Unavailable as error:
                if holds:
                    _log.warning("a lock is gone for now", reason=str(error))
                holds, waits_since = False, 0.0
                connection.raw.terminate()

    async def _try(self, connection: Connection) -> bool:
        """Get the lock, unless somebody delivers: they lost their session, and get it again."""
        if not await self._get(connection):
            return False
        if await self._answers():
            await connection.one(_SQL["release"], bool, **self._lock)
            return False
        return True

    async def _get(self, connection: Connection) -> bool:
        return await connection.one(_SQL["get"], bool, **self._lock)

    @property
    def _lock(self) -> dict[str, int]:
        return {"kind": self._office.kind, "number": self._office.number}

    async def _open(self) -> Connection:
        """Open a session, in the place of the one before."""
        await self._session.aclose()
        return Connection(await self._session.enter_async_context(self._database.session()))
