"""The service `triggers`: subscribes to the events of projects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub import Bus, Consumer, Database, Outbox
from services.triggers import peers
from services.triggers.rules import OF_CREATED, OF_DELETED, Triggers


@asynccontextmanager
async def triggers(database: Database, outbox: Outbox, bus: Bus) -> AsyncIterator[None]:
    """Run the service."""
    rules = Triggers(database, outbox, bus)
    async with bus.consume(
        Consumer(peers.CREATED, OF_CREATED, rules.created),
        Consumer(peers.DELETED, OF_DELETED, rules.deleted),
    ):
        yield
