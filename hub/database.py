"""PostgreSQL: a pool, transactions scoped to an account, and rows as Structs.

What reaches a caller is an error of `hub.errors`, never one of the driver, and its text holds no
value of a parameter: a password hash in a `DETAIL` line would end up in a log.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, Final, TypeVar, cast

import asyncpg
import msgspec
import structlog
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from hub.errors import NotFound, Unavailable
from hub.scope import hidden_projects
from hub.settings import PostgresSettings
from hub.sql.errors import translate
from hub.sql.queries import Queries, Query, QueryError
from hub.sql.rows import to_structs
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
_ON_BEHALF: Final = """
SELECT set_config('role', $1, true), set_config('isaax.account', $2, true),
       set_config('isaax.hidden', $3, true)
"""
_CONNECT_TIMEOUT: Final = 5.0
_ACQUIRE_TIMEOUT: Final = 5.0
# Beyond the server's own timeout: this one notices a server that does not answer at all.
_COMMAND_TIMEOUT: Final = STATEMENT_TIMEOUT + 5.0
_CLOSE_TIMEOUT: Final = 5.0
_DRIVER_ERRORS: Final = (
    TimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Connection:
    """One transaction.

    `raw` is the driver's connection, for what this face does not have (COPY, LISTEN); `account`
    is the one that it is on behalf of, "" where it is the hub's own.
    """

    def __init__(self, raw: asyncpg.Connection, account: str = "") -> None:
        self.raw = raw
        self.account: Final = account
        self._after_commit: list[Callable[[], None]] = []

    async def all(self, query: Query, into: type[T], /, **params: object) -> list[T]:
        """Give every row.

        Args:
            into: a Struct, filled by column name, or a plain type for a single column. `jsonb`
                arrives decoded; `timestamptz` as an aware datetime, or as microseconds since the
                Unix epoch where the field is an int; `uuid` as a str where the field is one.
            params: one for each `:name` of the query. Lists are arrays; for `jsonb`, anything
                that msgspec encodes.

        Raises:
            QueryError: query, parameters and `into` do not fit together.
            Conflict, NotFound, Invalid: a constraint says no.
            Unavailable: the server does not answer, or says to try again.
        """
        arguments = query.bind(params)
        with _translated(query):
            rows = await self.raw.fetch(query.sql, *arguments)
        return to_structs(rows, into, query)

    async def one(self, query: Query, into: type[T], /, **params: object) -> T:
        """Give the only row; as `all`.

        Raises:
            NotFound: there is none.
            QueryError: there are more.
        """
        row = await self.maybe(query, into, **params)
        if row is None:
            raise NotFound
        return row

    async def maybe(self, query: Query, into: type[T], /, **params: object) -> T | None:
        """Give the only row, or None; as `one`."""
        rows = await self.all(query, into, **params)
        if len(rows) > 1:
            raise QueryError(f"{query}: one row was expected, it gave {len(rows)}")
        return rows[0] if rows else None

    async def run(self, query: Query, /, **params: object) -> int:
        """Run a statement and give the number of rows that it touched; errors as for `all`."""
        arguments = query.bind(params)
        with _translated(query):
            status = await self.raw.execute(query.sql, *arguments)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only what happens inside when it raises; the transaction itself goes on."""
        with _translated():
            inner = self.raw.transaction()
            await inner.start()
        try:
            yield
        except BaseException:
            with _translated():
                await inner.rollback()
            raise
        with _translated():
            await inner.commit()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have this called once the transaction is durable, and not at all when it is not.

        It must not block; what it raises is logged, for the commit stands.
        """
        self._after_commit.append(callback)

    def committed(self) -> None:
        """Run what `after_commit` was given; for whoever commits."""
        for callback in self._after_commit:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the commit stands, whatever a callback does
                _log.exception("after_commit callback failed")


class Database:
    """A pool of connections; it heals by itself when the server comes back."""

    def __init__(self, pool: asyncpg.Pool, settings: PostgresSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: PostgresSettings) -> AsyncIterator["Database"]:
        """Connect.

        Raises:
            Unavailable: the server does not answer, or does not let us in.
        """
        with _translated():
            pool = await asyncpg.create_pool(
                **_address(settings),
                min_size=1,
                max_size=settings.pool,
                command_timeout=_COMMAND_TIMEOUT,
                init=_prepare_system,
            )
        try:
            yield cls(pool, settings)
        finally:
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await pool.close()
            except _DRIVER_ERRORS:
                pool.terminate()

    @asynccontextmanager
    async def transaction(self, *, account: str) -> AsyncIterator[Connection]:
        """Open a transaction on behalf of one account: committed when the block ends, else undone.

        Row-level security lets it see and write that account's rows alone, and none of the
        projects that are hidden from the present request (`hub/scope.py`).

        Raises:
            Unavailable: no connection in time, or the commit did not get through. After a lost
                commit nobody knows whether it stands.
        """
        async with self._transaction(account) as connection:
            hidden = ",".join(hidden_projects())
            with _translated():
                await connection.raw.execute(_ON_BEHALF, TENANT, account, hidden)
            yield connection

    def system(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction of the hub itself, across accounts; otherwise as `transaction`."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self, account: str = "") -> AsyncIterator[Connection]:
        async with AsyncExitStack() as stack:
            with _translated():
                raw = await self._acquire()
                stack.push_async_callback(self._release, raw)
                outer = raw.transaction()
                await outer.start()
            # The proxy has the whole face of a connection.
            connection = Connection(cast("asyncpg.Connection", raw), account)
            try:
                yield connection
            except BaseException as error:
                await _roll_back(outer)
                if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
                    raise translate(error) from None
                raise
            with _translated():
                await outer.commit()
        connection.committed()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection of the hub itself outside the pool, for session locks; see `session`.

        Raises:
            Unavailable: as for `session`.
        """
        async with session(self._settings) as raw:
            with _translated():
                await _take_on_system(raw)
            yield raw

    async def ready(self) -> None:
        """Check that the server commits a write.

        Raises:
            Unavailable: it does not.
        """
        async with self.system() as tx:
            with _translated():
                # An assigned transaction id makes the commit write to the log on disk.
                await tx.raw.execute("SELECT pg_current_xact_id()")

    async def _acquire(self) -> PoolConnectionProxy:
        try:
            return await self._pool.acquire(timeout=_ACQUIRE_TIMEOUT)
        except TimeoutError:
            raise Unavailable("Postgres: no connection became free in time") from None

    async def _release(self, raw: PoolConnectionProxy) -> None:
        try:
            await self._pool.release(raw)
        except _DRIVER_ERRORS:
            # The pool has dropped it; what was committed stands.
            _log.warning("a connection broke when it was given back")


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
    with _translated():
        raw: asyncpg.Connection = await asyncpg.connect(
            **address, command_timeout=statement_timeout + 5.0
        )
    try:
        await _prepare(raw)
        yield raw
    finally:
        try:
            await raw.close(timeout=_CLOSE_TIMEOUT)
        except _DRIVER_ERRORS:
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


async def _roll_back(transaction: Transaction) -> None:
    try:
        await transaction.rollback()
    except _DRIVER_ERRORS:
        # The server undoes what a lost connection leaves; the first error is the one to tell.
        _log.warning("rollback did not reach Postgres")


@contextmanager
def _translated(query: Query | None = None) -> Iterator[None]:
    try:
        yield
    except _DRIVER_ERRORS as error:
        raise translate(error, query) from None
