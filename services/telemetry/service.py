"""The service `telemetry`: keeps what devices measure for a while, and gives it for charts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import (
    Bus,
    Consumer,
    Database,
    Endpoint,
    MetricFeed,
    Metrics,
    StreamEndpoint,
    account_endpoints,
    stand,
)
from services.telemetry import contracts as c
from services.telemetry import peers
from services.telemetry.account import AccountOfTelemetry
from services.telemetry.charts import Charts
from services.telemetry.deleting import Deletion
from services.telemetry.keeping import LEADER, Keeper
from services.telemetry.settings import TelemetrySettings


@asynccontextmanager
async def telemetry(
    settings: TelemetrySettings, database: Database, bus: Bus, feed: MetricFeed, metrics: Metrics
) -> AsyncIterator[None]:
    """Run the service; of all that run on one database, one keeps what comes."""
    charts, deletion = Charts(database, settings), Deletion(database)
    keeper = Keeper(feed, bus, settings, metrics)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.DEVICE_METRICS, charts.device, concurrency=8),
        Endpoint(c.PROJECT_METRICS, charts.project, concurrency=4),
        Endpoint(c.RECENT, charts.recent, concurrency=4),
        *account_endpoints("telemetry", AccountOfTelemetry(database, deletion)),
    ]
    consumers: list[Consumer[Any]] = [
        Consumer(
            peers.DEVICE,
            "telemetry-devices",
            deletion.device_changed,
            together=deletion.devices_changed,
        ),
        Consumer(peers.PROJECT_DELETED, "telemetry-projects", deletion.project_deleted),
    ]
    async with bus.serve("telemetry", "1.0.0", endpoints), bus.consume(*consumers):
        leading = asyncio.create_task(
            stand("telemetry", database, LEADER, keeper.lead), name="telemetry"
        )
        try:
            yield
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("telemetry", AccountOfTelemetry(database, Deletion(database)))
    async with bus.serve("telemetry-resting", "1.0.0", endpoints):
        yield
