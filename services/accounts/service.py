"""The service `accounts`: the first account, its API token, and who a token stands for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from hub import Bus, Caller, Connection, Database, Endpoint, Nothing, Queries, Unauthenticated
from hub.ids import new
from services.accounts.contracts import (
    AUTHENTICATE,
    BOOTSTRAP,
    Authenticate,
    Authenticated,
    Bootstrapped,
)
from services.accounts.tokens import PREFIX, digest_of, new_token


class _Id(msgspec.Struct):
    id: str


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
        """Make an API token and give it; it cannot be read again."""
        token = new_token()
        await tx.run(
            self._sql["add_token"],
            id=new("apt"),
            account=account,
            name=name,
            prefix=token[: len(PREFIX) + 6],
            digest=digest_of(token),
        )
        return token

    async def authenticate(self, request: Authenticate) -> Authenticated:
        """Find the live token of a digest.

        Raises:
            Unauthenticated: there is none.
        """
        digest = bytes.fromhex(request.digest)
        async with self._database.system() as tx:
            token = await tx.maybe(self._sql["live_token"], Authenticated, digest=digest)
        if token is None:
            raise Unauthenticated("this API token is unknown, expired or revoked")
        return token


async def authenticate_bearer(credential: str, bus: Bus) -> Caller | None:
    """Turn an API token into its caller."""
    try:
        found = await bus.request(AUTHENTICATE, Authenticate(digest_of(credential).hex()))
    except Unauthenticated:
        return None
    return Caller(found.account, found.id, found.scopes, found.user, found.role, found.narrowed)


@asynccontextmanager
async def accounts(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Run the service."""
    rules = Accounts(database)
    endpoints: list[Endpoint[Any, Any]] = [
        Endpoint(BOOTSTRAP, rules.bootstrap),
        Endpoint(AUTHENTICATE, rules.authenticate),
    ]
    async with bus.serve("accounts", "1.0.0", endpoints):
        yield
