"""The service `envars`: variables of projects, groups and devices, and the way to devices."""

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
    Pusher,
    StreamEndpoint,
    Vault,
    account_endpoints,
    wanted_contract,
)
from hub.relay.contracts import DEVICE_CHANGED
from services.envars import contracts as c
from services.envars import peers
from services.envars.account import account_of_envars
from services.envars.fleet import CONSUMER, DESCRIBER, KIND, Fleet
from services.envars.pusher import VariablesInStock
from services.envars.rules import CONSUMER as OF_PROJECTS
from services.envars.rules import OF_GROUPS, Rules


@asynccontextmanager
async def envars(
    database: Database, vault: Vault, bus: Bus, downlink: Downlink
) -> AsyncIterator[None]:
    """Run the service."""
    pusher = Pusher(VariablesInStock(database, vault, downlink))
    rules, fleet = Rules(database, vault, bus, pusher.push), Fleet(database, bus, pusher)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.GET, rules.get),
        Endpoint(c.REPLACE, rules.replace),
        Endpoint(c.GET_ONE, rules.get_one),
        Endpoint(c.PUT, rules.put),
        Endpoint(c.DELETE, rules.delete),
        Endpoint(c.EFFECTIVE, rules.effective),
        Endpoint(c.STATUSES, rules.statuses),
        Endpoint(wanted_contract(KIND), fleet.reports.wanted),
        *account_endpoints("envars", account_of_envars(database)),
    ]
    consumers: list[Consumer[Any]] = [
        Consumer(peers.DEVICE, CONSUMER, fleet.device_changed, together=fleet.presence.changed),
        Consumer(DEVICE_CHANGED, DESCRIBER, fleet.device_described),
        Consumer(peers.GROUP_DELETED, OF_GROUPS, rules.group_deleted),
        Consumer(peers.PROJECT_ASKED, OF_PROJECTS, rules.project_asked),
    ]
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        pushing = tasks.create_task(pusher.run(), name="envars-pusher")
        stack.callback(pushing.cancel)
        await stack.enter_async_context(downlink.hearing(fleet.reports.heard))
        await stack.enter_async_context(bus.consume(*consumers))
        await stack.enter_async_context(bus.serve("envars", "1.0.0", endpoints))
        yield


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("envars", account_of_envars(database))
    async with bus.serve("envars-resting", "1.0.0", endpoints):
        yield
