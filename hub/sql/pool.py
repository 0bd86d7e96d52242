"""Connections that are lent, one transaction after the other, and stay as they are in between."""

import asyncio
from collections import deque
from typing import Final, cast

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from hub.errors import Unavailable
from hub.sql.connection import DRIVER_ERRORS, translated

_log = structlog.stdlib.get_logger(__name__)

_PATIENCE: Final = 5.0
_CLOSE_TIMEOUT: Final = 5.0


class Pool:
    """Lends the connections of the driver's pool; who waits for one is served in order.

    The driver's own way of giving one back is a task and a message to the server each time, which
    costs a request of three transactions a tenth of its time. So what comes back as it was lent is
    lent again; all else goes back to the driver, which resets or replaces it.

    Args:
        size: connections at most.
    """

    def __init__(self, driver: asyncpg.Pool, size: int) -> None:
        self._driver = driver
        self._free: list[asyncpg.Connection] = []
        self._may_open = size
        # Each is given a connection, or None: a place to open one.
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def acquire(self) -> asyncpg.Connection:
        """Borrow one; whoever does gives it back by `release`.

        Raises:
            Unavailable: the server does not answer, or none became free in time.
        """
        while self._free:
            raw = self._free.pop()
            if is_open(raw):
                return raw
            await self.release(raw, as_it_was=False)
        if self._may_open:
            self._may_open -= 1
            return await self._open()
        return await self._wait() or await self._open()

    async def release(self, raw: asyncpg.Connection, *, as_it_was: bool) -> None:
        """Give one back.

        Args:
            as_it_was: nothing is left of what was done on it: no transaction, no setting, no lock.
        """
        if as_it_was and is_open(raw):
            if not self._pass_on(raw):
                self._free.append(raw)
            return
        try:
            await self._driver.release(cast("PoolConnectionProxy", raw))
        except DRIVER_ERRORS:
            # The driver has dropped it; what was committed stands.
            _log.warning("a connection broke when it was given back")
        finally:
            self._give_place()

    async def close(self) -> None:
        """Close all, once those that are lent have come back."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                while self._free:
                    await self.release(self._free.pop(), as_it_was=False)
                await self._driver.close()
        except DRIVER_ERRORS:
            self._driver.terminate()

    async def _open(self) -> asyncpg.Connection:
        """Take one from the driver, for a place that is taken already."""
        try:
            with translated():
                # The proxy has the whole face of a connection.
                return cast("asyncpg.Connection", await self._driver.acquire(timeout=_PATIENCE))
        except BaseException:
            self._give_place()
            raise

    async def _wait(self) -> asyncpg.Connection | None:
        waiter: asyncio.Future[asyncpg.Connection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():  # it came as nobody waited any more
                await self._decline(waiter.result())
            if isinstance(error, TimeoutError):
                raise Unavailable("Postgres: no connection became free in time") from None
            raise

    async def _decline(self, raw: asyncpg.Connection | None) -> None:
        if raw is None:
            self._give_place()
        else:
            await self.release(raw, as_it_was=True)

    def _give_place(self) -> None:
        if not self._pass_on(None):
            self._may_open += 1

    def _pass_on(self, raw: asyncpg.Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(raw)
                return True
        return False


def is_open(raw: asyncpg.Connection) -> bool:
    """Say whether a connection is known to be usable."""
    try:
        return not raw.is_closed()
    except asyncpg.InterfaceError:  # it broke, and the driver has taken it back
        return False
