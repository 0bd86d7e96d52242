"""The service `audit`: answers with the log, and sends it where accounts want it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from hub import (
    Audit,
    Bus,
    Consumer,
    Database,
    Endpoint,
    EventInfo,
    Ingest,
    stand,
)
from hub.audit import export, reading
from services.audit import contracts as c
from services.audit import peers

EXPORTER: Final = 0x61756474
"""Advisory lock of the one that sends ("audt" in ASCII)."""


class Rules:
    """The rules of reading and sending."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def read(self, request: reading.Wanted) -> reading.Page:
        """Give a page of an account's log."""
        return await reading.page(self._database, request)

    async def get_export(self, request: c.OfAccount) -> export.Export:
        """Say where an account's log is sent."""
        found = await export.get(self._database, request.account)
        return found or export.Export(request.account, "", 0, 0, 0, 0)

    async def put_export(self, request: c.Send) -> export.Export:
        """Send an account's log into a project from now on, or nowhere any more.

        Raises:
            NotFound: the account has no such project.
        """
        if request.project:
            wanted = peers.GetProject(request.account, request.project)
            await self._bus.request(peers.GET_PROJECT, wanted)
            await export.put(self._database, request.account, request.project)
        else:
            await export.end(self._database, request.account)
        return await self.get_export(c.OfAccount(request.account))

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Send nothing into a project that is gone."""
        await export.end(self._database, event.account, project=event.project)


@asynccontextmanager
async def audit(database: Database, bus: Bus, ingest: Ingest, log: Audit) -> AsyncIterator[None]:
    """Run the service."""
    rules = Rules(database, bus)
    endpoints: list[Endpoint[Any, Any]] = [
        Endpoint(c.READ, rules.read),
        Endpoint(c.GET_EXPORT, rules.get_export),
        Endpoint(c.PUT_EXPORT, rules.put_export),
    ]
    deleted = Consumer(peers.PROJECT_DELETED, "audit-projects", rules.project_deleted)
    exporter = export.Exporter(database, ingest, log.sealed)
    async with bus.serve("audit", "1.0.0", endpoints), bus.consume(deleted):
        sending = asyncio.create_task(
            stand("audit-export", database, EXPORTER, exporter.lead), name="audit-export"
        )
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
