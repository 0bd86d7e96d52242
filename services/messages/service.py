"""The service `messages`: where a project's log lines go, and what is there to be read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import (
    Bus,
    Consumer,
    Database,
    Endpoint,
    Outbox,
    StreamEndpoint,
    Vault,
    account_endpoints,
)
from hub.plugins import PluginHost
from hub.relay import contracts as relay
from services.messages import contracts as c
from services.messages import peers
from services.messages.account import AccountOfMessages
from services.messages.rules import Messages


@asynccontextmanager
async def messages(
    database: Database, outbox: Outbox, vault: Vault, bus: Bus, plugins: PluginHost
) -> AsyncIterator[None]:
    """Run the service."""
    rules = Messages(database, outbox, vault, bus, plugins.destinations)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.TYPES, rules.types),
        Endpoint(c.CREATE, rules.create),
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.page),
        Endpoint(c.LIST_IDS, rules.ids),
        Endpoint(c.CHANGE, rules.change),
        Endpoint(c.SWITCH, rules.switch),
        Endpoint(c.REWIND, rules.rewind),
        Endpoint(c.TEST, rules.test, concurrency=16),
        Endpoint(c.TEST_CONFIG, rules.test_config, concurrency=16),
        Endpoint(c.DELETE, rules.delete),
        Endpoint(relay.LIST_INTEGRATIONS, rules.list_specs),
        *account_endpoints("messages", AccountOfMessages(database, rules)),
    ]
    deleted = Consumer(peers.PROJECT_DELETED, "messages-projects", rules.project_deleted)
    async with bus.serve("messages", "1.0.0", endpoints), bus.consume(deleted):
        yield


@asynccontextmanager
async def resting(
    database: Database, outbox: Outbox, vault: Vault, bus: Bus, plugins: PluginHost
) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    rules = Messages(database, outbox, vault, bus, plugins.destinations)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.LIST_IDS, rules.ids),
        *account_endpoints("messages", AccountOfMessages(database, rules)),
    ]
    async with bus.serve("messages-resting", "1.0.0", endpoints):
        yield
