"""The service `commands`: what devices are asked to do once, and what became of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hub import (
    Bus,
    Consumer,
    Database,
    DeviceReply,
    Downlink,
    Endpoint,
    StreamEndpoint,
    account_endpoints,
)
from services.commands import contracts as c
from services.commands import peers
from services.commands.account import AccountOfCommands
from services.commands.rules import OF_DEVICES, OF_PROJECTS, Rules
from services.commands.sender import Sender


@asynccontextmanager
async def commands(database: Database, bus: Bus, downlink: Downlink) -> AsyncIterator[None]:
    """Run the service."""
    sender = Sender(database, bus, downlink)
    rules = Rules(database, bus, sender.wake)

    async def heard(replies: list[DeviceReply]) -> None:
        await rules.heard(replies)
        sender.confirm(replies)  # not before it is durable

    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.SEND, rules.send),
        Endpoint(c.CANCEL, rules.cancel),
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.page),
        Endpoint(c.RESULTS, rules.results),
        Endpoint(c.OF_DEVICE, rules.of_device),
        *account_endpoints("commands", AccountOfCommands(database)),
    ]
    consumers: list[Consumer[Any]] = [
        Consumer(peers.DEVICE, OF_DEVICES, rules.device_changed, together=rules.devices_changed),
        Consumer(peers.PROJECT_ASKED, OF_PROJECTS, rules.project_asked),
    ]
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        sending = tasks.create_task(sender.run(), name="commands-sender")
        stack.callback(sending.cancel)
        await stack.enter_async_context(downlink.hearing(sender.reported))
        await stack.enter_async_context(downlink.hearing_replies(heard))
        await stack.enter_async_context(bus.consume(*consumers))
        await stack.enter_async_context(bus.serve("commands", "1.0.0", endpoints))
        yield


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("commands", AccountOfCommands(database))
    async with bus.serve("commands-resting", "1.0.0", endpoints):
        yield
