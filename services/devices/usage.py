"""How much devices send and are sent: added up by day, and given for a device and for all."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from hub import Bus, Database, DataNoted, Nothing, Queries
from services.devices import peers
from services.devices import usage_contracts as c

KEPT: Final = timedelta(days=400)
"""For so long it is known what a day came to."""
_UPKEEP: Final = 3600.0  # seconds between looks for what is older


class Usage:
    """The rules of data usage.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self, database: Database, bus: Bus, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._sql = Queries.load("services.devices", "usage.sql")
        self._next = 0.0

    async def note(self, request: DataNoted) -> Nothing:
        """Add up what a meter counted; once, however often it is told."""
        devices = request.devices
        async with self._database.system() as tx:
            fresh = await tx.run(self._sql["heard"], meter=request.meter, number=request.number)
            if not fresh:
                return Nothing()
            await tx.run(
                self._sql["note"],
                devices=[one.device for one in devices],
                days=[date.fromisoformat(one.day) for one in devices],
                up_messages=[one.up_messages for one in devices],
                up_bytes=[one.up_bytes for one in devices],
                down_messages=[one.down_messages for one in devices],
                down_bytes=[one.down_bytes for one in devices],
            )
            if self._clock() >= self._next:
                await tx.run(self._sql["drop_old"], before=self._today() - KEPT)
                self._next = self._clock() + _UPKEEP
        return Nothing()

    async def of_device(self, request: c.DataOf) -> c.DataUsage:
        """Give what a device comes to."""
        return await self._usage(request, "of_device", device=request.device)

    async def of_project(self, request: c.DataOf) -> c.DataUsage:
        """Give what a project comes to, with the devices that it had."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        return await self._usage(request, "of_project", project=request.project)

    async def of_account(self, request: c.DataOf) -> c.DataUsage:
        """Give what an account comes to, with the projects that it had."""
        return await self._usage(request, "of_account")

    async def top(self, request: c.TopOf) -> c.Top:
        """Give a page of a project's devices by what they come to."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["top"], c.DeviceDataCount, **parameters)
        return c.Top.of(rows, request.limit)

    async def _usage(self, request: c.DataOf, query: str, **scope: Any) -> c.DataUsage:
        today = self._today()
        scope |= {"account": request.account}
        async with self._database.transaction(account=request.account) as tx:

            async def days(since: date, until: date) -> list[c.DataDay]:
                return await tx.all(self._sql[query], c.DataDay, since=since, until=until, **scope)

            wanted = await days(request.since, request.until)
            month = await days(today.replace(day=1), today)
        return c.DataUsage(c.total_of(wanted), c.total_of(month), wanted)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()
