"""The service `scripts`: scripts of a project's moments, and the way to devices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hub import (
    Bus,
    Consumer,
    Database,
    Downlink,
    Endpoint,
    Presence,
    Pusher,
    Reports,
    StreamEndpoint,
    account_endpoints,
    wanted_contract,
)
from services.scripts import contracts as c
from services.scripts import peers
from services.scripts.account import account_of_scripts
from services.scripts.fleet import CONSUMER as OF_DEVICES
from services.scripts.fleet import KIND, Fleet, ScriptsInStock
from services.scripts.rules import CONSUMER, SQL, Rules


@asynccontextmanager
async def scripts(database: Database, bus: Bus, downlink: Downlink) -> AsyncIterator[None]:
    """Run the service."""
    pusher = Pusher(ScriptsInStock(database, downlink))
    reports = Reports(database, KIND, SQL, pusher)
    rules, fleet = Rules(database, bus, pusher.push), Fleet(database, downlink, pusher)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.GET_ALL, rules.get_all),
        Endpoint(c.GET, rules.get),
        Endpoint(c.PUT, rules.put),
        Endpoint(c.RESTORE, rules.restore),
        Endpoint(c.VERSIONS, rules.versions),
        Endpoint(c.STATUSES, rules.statuses),
        Endpoint(c.RAN, rules.ran),
        Endpoint(wanted_contract(KIND), reports.wanted),
        *account_endpoints("scripts", account_of_scripts(database)),
    ]
    presence = Presence(database, OF_DEVICES, SQL, pusher)
    consumers: list[Consumer[Any]] = [
        Consumer(peers.DEVICE, OF_DEVICES, fleet.device_changed, together=presence.changed),
        Consumer(peers.PROJECT_ASKED, CONSUMER, rules.project_asked),
    ]
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        pushing = tasks.create_task(pusher.run(), name="scripts-pusher")
        stack.callback(pushing.cancel)
        await stack.enter_async_context(downlink.hearing(reports.heard))
        await stack.enter_async_context(downlink.hearing_moments(fleet.ran))
        await stack.enter_async_context(bus.consume(*consumers))
        await stack.enter_async_context(bus.serve("scripts", "1.0.0", endpoints))
        yield


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("scripts", account_of_scripts(database))
    async with bus.serve("scripts-resting", "1.0.0", endpoints):
        yield
