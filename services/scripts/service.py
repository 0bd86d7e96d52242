"""The service `scripts`: scripts that are run once on devices, and what became of them."""

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
from services.scripts import contracts as c
from services.scripts import peers
from services.scripts.account import AccountOfScripts
from services.scripts.rules import CONSUMER, Rules
from services.scripts.sender import Sender


@asynccontextmanager
async def scripts(database: Database, bus: Bus, downlink: Downlink) -> AsyncIterator[None]:
    """Run the service."""
    sender = Sender(database, bus, downlink)
    rules = Rules(database, bus, sender.start)

    async def heard(replies: list[DeviceReply]) -> None:
        await rules.heard(replies)
        sender.confirm(replies)  # not before it is durable

    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.START, rules.start),
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.page),
        Endpoint(c.RESULTS, rules.results),
        *account_endpoints("scripts", AccountOfScripts(database)),
    ]
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        sending = tasks.create_task(sender.run(), name="scripts-sender")
        stack.callback(sending.cancel)
        await stack.enter_async_context(downlink.hearing(sender.reported))
        await stack.enter_async_context(downlink.hearing_replies(heard))
        consumer = Consumer(peers.PROJECT_ASKED, CONSUMER, rules.project_asked)
        await stack.enter_async_context(bus.consume(consumer))
        await stack.enter_async_context(bus.serve("scripts", "1.0.0", endpoints))
        yield
