"""PostgreSQL: a pool, transactions scoped to an account, and rows as Structs.

What reaches a caller is an error of `hub.errors`, never one of the driver, and its text holds no
value of a parameter: a password hash in a `DETAIL` line would end up in a log.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
import structlog

from hub.scope import hidden_projects
from hub.settings import PostgresSettings
from hub.sql.connection import DRIVER_ERRORS, Connection, translated
from hub.sql.pool import Pool
from hub.sql.queries import Queries, Query, QueryError
from hub.sql.transactions import Transaction
from hub.tenancy import SYSTEM, TENANT

__all__ = ["Connection", "Database", "Queries", "Query", "QueryError"]

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)

STATEMENT_TIMEOUT: Final = 30.0
"""Seconds that one statement may take before the server cancels it."""

_SESSION: Final = {
    "application_name": "isaax",
    "statement_timeout": str(round(STATEMENT_TIMEOUT * 1000)),
    # A transaction whose owner hangs must not hold its locks for ever.
    "idle_in_transaction_session_timeout": "60000",
    # Nor a session whose owner is gone with its machine: seconds until the server notices.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}
_STATEMENTS: Final = 500  # prepared on each connection; more than there are queries
_CONNECT_TIMEOUT: Final = 5.0
# Beyond the server's own timeout: this one notices a server that does not answer at all.
_COMMAND_TIMEOUT: Final = STATEMENT_TIMEOUT + 5.0
_CLOSE_TIMEOUT: Final = 5.0


class Database:
    """A pool of connections; it heals by itself when the server comes back."""

    def __init__(self, pool: Pool, settings: PostgresSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: PostgresSettings) -> AsyncIterator["Database"]:
        """Connect.

        Raises:
            Unavailable: the server does not answer, or does not let us in.
        """
        with translated():
            driver = await asyncpg.create_pool(
                **_address(settings),
                min_size=1,
                max_size=settings.pool,
                command_timeout=_COMMAND_TIMEOUT,
                init=_prepare_system,
                statement_cache_size=_STATEMENTS,
            )
        pool = Pool(driver, settings.pool)
        try:
            yield cls(pool, settings)
        finally:
            await pool.close()

    def transaction(self, *, account: str) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction on behalf of one account: committed when the block ends, else undone.

        Row-level security lets it see and write that account's rows alone, and none of the
        projects that are hidden from the present request (`hub/scope.py`).

        Raises:
            Unavailable: no connection in time, or the commit did not get through. After a lost
                commit nobody knows whether it stands.
        """
        return Transaction(self._pool, account, (TENANT, account, ",".join(hidden_projects())))

    def system(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction of the hub itself, across accounts; otherwise as `transaction`."""
        return Transaction(self._pool)

    async def look(self, query: Query, into: type[T], /, **params: object) -> T | None:
        """Give the only row of one statement of the hub itself, or None, without a transaction.

        For a look that every request begins with: it is one way to the server and back.

        Raises:
            QueryError, Unavailable: as for `Connection.maybe`.
        """
        async with self.statements() as one:
            return await one.maybe(query, into, **params)

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[Connection]:
        """Take a connection of the hub itself on which each statement is a transaction of its own.

        Raises:
            Unavailable: no connection in time.
        """
        raw, clean = await self._pool.acquire(), False
        try:
            yield Connection(raw)
            clean = True
        finally:
            await self._pool.release(raw, as_it_was=clean)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection of the hub itself outside the pool, for session locks; see `session`.

        Raises:
            Unavailable: as for `session`.
        """
        async with session(self._settings) as raw:
            with translated():
                await _take_on_system(raw)
            yield raw

    async def ready(self) -> None:
        """Check that the server commits a write.

        Raises:
            Unavailable: it does not.
        """
        async with self.system() as tx:
            with translated():
                # An assigned transaction id makes the commit write to the log on disk.
                await tx.raw.execute("SELECT pg_current_xact_id()")


@asynccontextmanager
async def session(
    settings: PostgresSettings, *, statement_timeout: float = STATEMENT_TIMEOUT
) -> AsyncIterator[asyncpg.Connection]:
    """Open one connection that no pool resets, as the owner of the tables.

    Args:
        statement_timeout: seconds that one statement may take.

    Raises:
        Unavailable: the server does not answer, or does not let us in.
    """
    address = _address(settings)
    address["server_settings"] = _SESSION | {
        "statement_timeout": str(round(statement_timeout * 1000))
    }
    with translated():
        raw: asyncpg.Connection = await asyncpg.connect(
            **address, command_timeout=statement_timeout + 5.0
        )
    try:
        await _prepare(raw)
        yield raw
    finally:
        try:
            await raw.close(timeout=_CLOSE_TIMEOUT)
        except DRIVER_ERRORS:
            raw.terminate()


def _address(settings: PostgresSettings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "database": settings.database,
        "user": settings.user,
        "password": settings.password.reveal() or None,
        "timeout": _CONNECT_TIMEOUT,
        "server_settings": _SESSION,
    }


async def _prepare(raw: asyncpg.Connection) -> None:
    """Let `json` and `jsonb` columns be values, not text."""
    for name in ("json", "jsonb"):
        await raw.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=_encode_json,
            decoder=msgspec.json.decode,
        )


async def _prepare_system(raw: asyncpg.Connection) -> None:
    await _prepare(raw)
    await _take_on_system(raw)


async def _take_on_system(raw: asyncpg.Connection) -> None:
    """Leave the rights of the tables' owner: no transaction has more than it needs."""
    await raw.execute(f"SET ROLE {SYSTEM}")


def _encode_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
