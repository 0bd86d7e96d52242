"""The service `alerts`: tells when a device is away or silent, or says what it should not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import (
    Bus,
    Consumer,
    Database,
    Endpoint,
    Ingest,
    LineFeed,
    StreamEndpoint,
    account_endpoints,
    stand,
)
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.account import AccountOfAlerts
from services.alerts.evaluation import LEADER, Watcher
from services.alerts.rules import Alerts


@asynccontextmanager
async def alerts(
    database: Database, bus: Bus, ingest: Ingest, feed: LineFeed
) -> AsyncIterator[None]:
    """Run the service, in the process of the relay: its lines go that way."""
    rules = Alerts(database, bus)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.ADD, rules.add),
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.list),
        Endpoint(c.CHANGE, rules.change),
        Endpoint(c.DELETE, rules.delete),
        Endpoint(c.EVENTS, rules.events),
        *account_endpoints("alerts", AccountOfAlerts(database, rules)),
    ]
    deleted = Consumer(peers.PROJECT_DELETED, "alerts-projects", rules.project_deleted)
    async with bus.serve("alerts", "1.0.0", endpoints), bus.consume(deleted):
        watching = asyncio.create_task(
            stand("alerts", database, LEADER, Watcher(bus, ingest, feed).lead), name="alerts"
        )
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("alerts", AccountOfAlerts(database, Alerts(database, bus)))
    async with bus.serve("alerts-resting", "1.0.0", endpoints):
        yield
