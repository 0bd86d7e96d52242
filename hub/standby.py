"""Services of which a hub runs one: of all processes that list such a one, the others stand by.

Whoever stands by is ready: what is asked of the service goes over the bus to the process that runs
it. When that one is gone, however it went, one of the others takes over within seconds.
"""

import asyncio
import inspect
import math
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import structlog

from hub.contracts import Bus, Contract, Endpoint, Nothing
from hub.database import Database
from hub.errors import DeadlineExceeded, IsaaxError
from hub.relay.lease import Lease, Office
from hub.relay.tasks import Tasks
from hub.services import Service

_log = structlog.stdlib.get_logger(__name__)

_KIND: Final = 0x736F6C65  # "sole"
_DATABASE: Final = "standby_database"
_BUS: Final = "standby_bus"
Start = Callable[..., AbstractAsyncContextManager[Any]]


def standing_by(service: Service) -> Service:
    """Give a service that runs here when it runs nowhere else; others are given as they are."""
    if not service.single:
        return service
    signature = inspect.signature(service.start, eval_str=True)
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind in ((_DATABASE, Database), (_BUS, Bus))
    ]
    taken = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values()
    ]

    @asynccontextmanager
    async def start(**arguments: Any) -> AsyncIterator[None]:
        database, bus = arguments.pop(_DATABASE), arguments.pop(_BUS)
        turn = _Turn(service, database, bus)
        async with turn.awaited(lambda: service.start(**arguments)):
            yield

    # The planner reads from it what is to be injected.
    start.__signature__ = signature.replace(parameters=[*taken, *own])  # type: ignore[attr-defined]
    return replace(service, start=start)


class _Turn:
    """One service that runs in one process at a time."""

    def __init__(self, service: Service, database: Database, bus: Bus) -> None:
        self._name = service.name
        self._bus = bus
        self._leave = asyncio.Event()
        self._is_told = asyncio.Event()
        office = Office(
            _KIND,
            zlib.crc32(service.name.encode()) - 2**31,
            f"another process runs the service {service.name}",
            "",
        )
        self._lease = Lease(
            database, office, self._runs_elsewhere, waits=self._stand_by, patience=math.inf
        )

    @asynccontextmanager
    async def awaited(self, start: Start) -> AsyncIterator[None]:
        """Start it, or stand by until it is our turn; leaving drains it, wherever that stands."""
        async with asyncio.TaskGroup() as group:
            living = group.create_task(self._live(start), name=f"turn of {self._name}")
            await self._is_told.wait()
            try:
                yield
            finally:
                self._leave.set()
                if not self._runs:
                    living.cancel()
                await asyncio.wait({living})

    async def _live(self, start: Start) -> None:
        async with asyncio.TaskGroup() as group, self._lease.held(Tasks(group)):
            if self._is_told.is_set():
                _log.info("takes over", of=self._name)
            endpoint = Endpoint(_runs(self._name), self._answer)
            async with (
                self._bus.serve(f"sole-{self._name}", "1.0.0", [endpoint]),
                start(),
            ):
                self._runs = True
                self._is_told.set()
                await self._leave.wait()

    _runs = False

    def _stand_by(self) -> None:
        _log.info("stands by", of=self._name)
        self._is_told.set()

    async def _answer(self, _: Nothing) -> Nothing:
        return Nothing()

    async def _runs_elsewhere(self) -> bool:
        """Say whether another process runs it, that has lost its lock and will get it again.

        One that is too busy to say so in time runs it, too.
        """
        try:
            await self._bus.request(_runs(self._name), Nothing())
        except DeadlineExceeded:
            return True
        except IsaaxError:
            return False
        return True


def _runs(name: str) -> Contract[Nothing, Nothing]:
    return Contract(f"sole-{name}.runs", Nothing, Nothing, timeout=1.0)
