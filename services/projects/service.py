"""The service `projects`: projects, their tokens and limits, and what is left of them: nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import Bus, Consumer, Database, Endpoint, Outbox, StreamEndpoint, account_endpoints
from hub.relay.contracts import PROJECT_ACCOUNTS, PROJECT_LIMITS, PROJECT_OF_TOKEN, USAGE
from services.projects import contracts as c
from services.projects.account import AccountOfProjects
from services.projects.limits import CONSUMER, Limits
from services.projects.peers import CLOSING_CHANGED
from services.projects.rules import Projects
from services.projects.tokens import Tokens


@asynccontextmanager
async def projects(database: Database, outbox: Outbox, bus: Bus) -> AsyncIterator[None]:
    """Run the service."""
    rules, tokens, limits = Projects(database, outbox), Tokens(database, outbox), Limits(database)
    account = AccountOfProjects(database, outbox, rules)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.CREATE, rules.create),
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.list),
        Endpoint(c.LIST_OWN, rules.list),
        Endpoint(c.RENAME, rules.rename),
        Endpoint(c.DELETE, rules.delete),
        Endpoint(c.CREATE_TOKEN, tokens.create),
        Endpoint(c.GET_TOKEN, tokens.get),
        Endpoint(c.CHANGE_TOKEN, tokens.change),
        Endpoint(c.LIST_TOKENS, tokens.list),
        Endpoint(c.DELETE_TOKEN, tokens.delete),
        Endpoint(c.LIST_DIGESTS, tokens.list_digests),
        Endpoint(c.GET_LIMITS, limits.show),
        Endpoint(PROJECT_LIMITS, limits.of),
        Endpoint(PROJECT_OF_TOKEN, limits.owner),
        Endpoint(PROJECT_ACCOUNTS, limits.accounts),
        *account_endpoints("projects", account),
    ]
    consumers: list[Consumer[Any]] = [
        Consumer(USAGE, CONSUMER, limits.noted),
        Consumer(CLOSING_CHANGED, "projects-closing", account.closing_changed),
    ]
    async with bus.serve("projects", "1.0.0", endpoints), bus.consume(*consumers):
        yield


@asynccontextmanager
async def resting(database: Database, outbox: Outbox, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    rules = Projects(database, outbox)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.LIST_OWN, rules.list),
        *account_endpoints("projects", AccountOfProjects(database, outbox, rules)),
    ]
    async with bus.serve("projects-resting", "1.0.0", endpoints):
        yield
