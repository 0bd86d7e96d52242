"""What the relay still keeps of accounts where it is switched off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from nats import errors as nats_errors
from nats.aio.client import Client

from hub.account_data import (
    AccountKeeper,
    Counts,
    Erased,
    Exported,
    OfAccount,
    account_endpoints,
    export_nothing,
)
from hub.contracts import Bus
from hub.database import Database
from hub.errors import Unavailable
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.relay.erasure import Erasure
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.streams import missing_streams
from hub.relay.tables import Tables
from hub.relay.tasks import Tasks
from hub.relay.workshop import Workshop
from hub.settings import RelaySettings
from hub.telemetry import Metrics
from hub.vault import Vault


@asynccontextmanager
async def resting(
    settings: RelaySettings,
    nats: Client,
    bus: Bus,
    database: Database,
    vault: Vault,
    plugins: PluginHost,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Answer for what is kept of accounts. Where no relay has ever run, that is nothing.

    Raises:
        Unavailable: JetStream does not answer.
    """
    async with AsyncExitStack() as stack:
        keeper: AccountKeeper = _Nothing()
        if not await _missing(nats, settings):
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = Tasks(group)
            stack.push_async_callback(tasks.cancel)
            hosts = HostNames(bus)
            stack.push_async_callback(hosts.close)
            kept = Keeping.of(nats, bus, database, metrics, share=settings.project_share)
            await stack.enter_async_context(kept.running(tasks))
            workshop = Workshop(
                plugins, database, vault, tools_for,
                private_hosts=settings.private_hosts, files=settings.files,
            )  # fmt: skip
            keeper = Erasure(
                nats, database, Tables(), _Files(workshop), hosts, kept, shards=settings.shards
            )
        endpoints = account_endpoints("relay", keeper)
        await stack.enter_async_context(bus.serve("relay-resting", "1.0.0", endpoints))
        yield


async def _missing(nats: Client, settings: RelaySettings) -> list[str]:
    try:
        return await missing_streams(nats.jetstream(), settings)
    except (nats_errors.Error, OSError) as error:
        raise Unavailable(f"JetStream does not answer: {type(error).__name__}") from None


class _Files:
    """Nobody delivers; what was written to the hub's disk is there."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def erase(self, project: str) -> dict[str, int]:
        """Remove a project's files."""
        return {"deliveries": 0, "files": await self._workshop.remove_files(project)}


class _Nothing:
    """There are no streams, and so nothing in them."""

    async def count(self, _: OfAccount) -> Counts:
        """Count nothing."""
        return Counts({})

    def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Export nothing."""
        return export_nothing(request)

    async def erase(self, _: OfAccount) -> Erased:
        """Erase nothing."""
        return Erased({})
