"""Transactions on connections of a pool, on behalf of an account or of the hub itself."""

import re
from typing import Final

import asyncpg
import structlog

from hub.sql.connection import DRIVER_ERRORS, Connection, translated
from hub.sql.errors import translate
from hub.sql.pool import Pool

_log = structlog.stdlib.get_logger(__name__)

_ON_BEHALF: Final = """
SELECT set_config('role', $1, true), set_config('isaax.account', $2, true),
       set_config('isaax.hidden', $3, true)
"""
# Ids are plain; then all of it is one message, and one way to the server and back.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_,-]*")
_BEGIN_PLAIN: Final = "BEGIN;" + re.sub(r"\$\d", "'{}'", _ON_BEHALF)


class Transaction:
    """One transaction, as a context. A class: generators would cost each request a tenth of it.

    Args:
        values: of `_ON_BEHALF`, where it is on behalf of an account.
    """

    __slots__ = ("_account", "_connection", "_pool", "_raw", "_values")

    def __init__(
        self, pool: Pool, account: str = "", values: tuple[str, str, str] | None = None
    ) -> None:
        self._pool = pool
        self._account = account
        self._values = values

    async def __aenter__(self) -> Connection:
        self._raw = raw = await self._pool.acquire()
        self._connection = connection = Connection(raw, self._account)
        try:
            with translated():
                await _begin(raw, self._values)
        except BaseException as error:
            await self._end(error)
            raise
        return connection

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: object
    ) -> None:
        await self._end(error)
        if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
            raise translate(error) from None
        if error is None:
            self._connection.committed()

    async def _end(self, error: BaseException | None) -> None:
        raw, clean = self._raw, False
        try:
            if error is None:
                with translated():
                    await raw.execute("COMMIT")
                clean = True
            else:
                clean = await _roll_back(raw)
        finally:
            await self._pool.release(raw, as_it_was=clean and not self._connection.touched)


async def _begin(raw: asyncpg.Connection, values: tuple[str, str, str] | None) -> None:
    if values is None:
        await raw.execute("BEGIN")
    elif all(map(_PLAIN.fullmatch, values)):
        await raw.execute(_BEGIN_PLAIN.format(*values))
    else:
        await raw.execute("BEGIN")
        await raw.execute(_ON_BEHALF, *values)


async def _roll_back(raw: asyncpg.Connection) -> bool:
    """Undo it; say whether the server did."""
    try:
        await raw.execute("ROLLBACK")
    except DRIVER_ERRORS:
        # The server undoes what a lost connection leaves; the first error is the one to tell.
        _log.warning("rollback did not reach Postgres")
        return False
    return True
