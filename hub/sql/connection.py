"""One connection within a transaction: rows as Structs, and errors of ours."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg
import structlog

from hub.errors import NotFound
from hub.sql.errors import translate
from hub.sql.queries import Query, QueryError
from hub.sql.rows import to_structs

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)

DRIVER_ERRORS: Final = (
    TimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Connection:
    """One transaction.

    `account` is the one that it is on behalf of, "" where it is the hub's own.
    """

    def __init__(self, raw: asyncpg.Connection, account: str = "") -> None:
        self._raw = raw
        self.account: Final = account
        self._savepoints = 0
        self._after_commit: list[Callable[[], None]] = []
        self.touched = False
        """Somebody may have left something behind in the session: it is to be reset."""

    @property
    def raw(self) -> asyncpg.Connection:
        """The driver's connection, for what this face does not have (COPY, LISTEN)."""
        self.touched = True
        return self._raw

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
        with translated(query):
            rows = await self._raw.fetch(query.sql, *arguments)
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
        with translated(query):
            status = await self._raw.execute(query.sql, *arguments)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only what happens inside when it raises; the transaction itself goes on.

        On a session without a transaction it is one of its own.
        """
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        begin, end, undo = (
            (f"SAVEPOINT {name}", f"RELEASE {name}", f"ROLLBACK TO {name}; RELEASE {name}")
            if self._raw.is_in_transaction()
            else ("BEGIN", "COMMIT", "ROLLBACK")
        )
        with translated():
            await self._raw.execute(begin)
        try:
            yield
        except BaseException:
            with translated():
                await self._raw.execute(undo)
            raise
        with translated():
            await self._raw.execute(end)

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


class translated:  # noqa: N801 - it reads as what it does: `with translated():`
    """Raises an error of the driver as one of ours."""

    __slots__ = ("_query",)

    def __init__(self, query: Query | None = None) -> None:
        self._query = query

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: object
    ) -> None:
        if isinstance(error, DRIVER_ERRORS):
            raise translate(error, self._query) from None
