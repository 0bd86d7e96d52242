"""The service `accounts`: the first account, its API token, and who a token stands for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from hub import (
    Actor,
    Audit,
    Bus,
    Caller,
    Connection,
    Database,
    Deed,
    Endpoint,
    Leftovers,
    Metrics,
    Nothing,
    Outbox,
    Permissions,
    Postbox,
    Queries,
    Resting,
    Role,
    StreamEndpoint,
    Unauthenticated,
    Vault,
)
from hub.ids import new
from hub.plugins import PluginHost
from hub.settings import HttpSettings
from services.accounts.contracts import (
    AUTHENTICATE,
    BOOTSTRAP,
    Authenticate,
    Authenticated,
    Bootstrapped,
)
from services.accounts.deletion.service import Ending
from services.accounts.departure.service import Leaving
from services.accounts.identity.letters import Letters
from services.accounts.identity.service import Identity
from services.accounts.organisations.service import Organisations
from services.accounts.settings import AccountsSettings
from services.accounts.tokens import SESSION, digest_of, new_token, shown_of


class _Id(msgspec.Struct):
    id: str


class _Live(msgspec.Struct, frozen=True):
    """A live token; `stale`: when it was last used is to be written down again."""

    id: str
    account: str
    scopes: tuple[str, ...]
    user: str
    role: Role
    narrowed: dict[str, Role]
    needs_factor: bool
    stale: bool


class Accounts:
    """The rules of accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.accounts")

    async def bootstrap(self, _: Nothing) -> Bootstrapped:
        """Make the first account with one API token, unless there is one already."""
        async with self._database.system() as tx:
            if first := await tx.maybe(self._sql["first_account"], _Id):
                return Bootstrapped(first.id)
            account = new("acc")
            if await tx.run(self._sql["claim_first"], account=account):
                await tx.run(self._sql["add_account"], id=account, name="first account")
                return Bootstrapped(account, await self.add_token(tx, account, "first token"))
        return await self.bootstrap(Nothing())  # another hub made it between the two statements

    async def add_token(self, tx: Connection, account: str, name: str) -> str:
        """Make an API token at the terminal and give it; it cannot be read again."""
        token, identifier = new_token(), new("apt")
        prefix = shown_of(token)
        await tx.run(
            self._sql["add_token"],
            id=identifier,
            account=account,
            name=name,
            prefix=prefix,
            digest=digest_of(token),
        )
        deed = Deed(
            action="api-token.made",
            summary="Make an API token at the hub's terminal",
            account=account,
            object={"id": identifier},
            actor=Actor.at_terminal(),
            after={"id": identifier, "name": name, "prefix": prefix},
        )
        await Audit().record(tx, deed)
        return token

    async def authenticate(self, request: Authenticate) -> Authenticated:
        """Find the live token of a digest.

        Raises:
            Unauthenticated: there is none.
        """
        digest = bytes.fromhex(request.digest)
        token = await self._database.look(self._sql["live_token"], _Live, digest=digest)
        if token is not None and token.stale:
            async with self._database.system() as tx:
                await tx.run(self._sql["see_token"], token=token.id)
        if token is None:
            raise Unauthenticated("this API token is unknown, expired or revoked")
        return Authenticated(
            token.id, token.account, token.scopes, token.user, token.role, token.narrowed,
            token.needs_factor,
        )  # fmt: skip


async def authenticate_bearer(credential: str, bus: Bus) -> Caller | None:
    """Turn an API token into its caller."""
    if credential.startswith(SESSION):
        return None
    try:
        found = await bus.request(AUTHENTICATE, Authenticate(digest_of(credential).hex()))
    except Unauthenticated:
        return None
    return Caller(
        found.account,
        found.id,
        found.scopes,
        found.user,
        found.role,
        found.narrowed,
        needs_factor=found.needs_factor,
    )


@asynccontextmanager
async def accounts(
    settings: AccountsSettings,
    http: HttpSettings,
    plugins: PluginHost,
    database: Database,
    outbox: Outbox,
    vault: Vault,
    postbox: Postbox,
    leftovers: Leftovers,
    audit: Audit,
    bus: Bus,
    metrics: Metrics,
    _: Resting,
) -> AsyncIterator[None]:
    """Run the service, and what stands in for those that are switched off."""
    rules, letters = Accounts(database), Letters(postbox, http.origin)
    permissions = Permissions(plugins.permissions.values())
    async with Identity.open(
        settings, permissions, database, outbox, vault, letters, metrics, origin=http.origin
    ) as identity:
        organisations = Organisations(database, vault, bus, letters, identity)
        ending = Ending(
            settings,
            plugins.account_data.values(),
            database,
            outbox,
            bus,
            leftovers,
            audit,
            letters,
            identity.reauthentication,
        )
        leaving = Leaving(
            settings, database, leftovers, audit, letters, ending.closing, identity
        )  # fmt: skip
        endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
            Endpoint(BOOTSTRAP, rules.bootstrap),
            Endpoint(AUTHENTICATE, rules.authenticate),
            *identity.endpoints(),
            *organisations.endpoints(),
            *ending.endpoints(),
            *leaving.endpoints(),
        ]
        async with (
            bus.serve("accounts", "1.0.0", endpoints),
            bus.consume(*identity.consumers(), *organisations.consumers()),
            ending.running(),
            leaving.running(),
        ):
            yield
