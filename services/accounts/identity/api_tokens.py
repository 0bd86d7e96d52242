"""API tokens: what a program shows to act for a person, as far as its scopes and their role go."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from hub import (
    Conflict,
    Connection,
    Database,
    FieldError,
    Invalid,
    NotFound,
    Nothing,
    Permissions,
    Queries,
)
from hub.ids import new
from services.accounts.identity import contracts as c

ALL: Final = "*"
"""The scope of a token for all that its person may do."""
_MOST: Final = 100
"""Tokens of a person in an account."""


class ApiTokens:
    """The rules of API tokens."""

    def __init__(self, database: Database, permissions: Permissions) -> None:
        self._database = database
        self._permissions = permissions
        self._sql = Queries.load("services.accounts.identity", "api_tokens.sql")

    async def create(self, request: c.CreateApiToken) -> c.ApiToken:
        """Make a token that acts for its maker.

        Raises:
            Invalid: its scopes or its expiry are not what its maker may give.
            Conflict: its maker has too many.
        """
        maker = request.maker
        scopes = (ALL,) if ALL in request.scopes else tuple(dict.fromkeys(request.scopes))
        if errors := list(self._faults(maker, request.scopes)):
            raise Invalid("a token may do what its maker may, at most", errors=errors)
        async with self._database.transaction(account=maker.account) as tx:
            await self._check_expiry(tx, maker, request.expires_at)
            whose = {"account": maker.account, "user": maker.user}
            if await tx.one(self._sql["count_tokens"], int, **whose) >= _MOST:
                raise Conflict(f"{_MOST} tokens are the most: revoke some")
            return await tx.one(
                self._sql["add_token"],
                c.ApiToken,
                id=new("apt"),
                name=request.name,
                prefix=request.prefix,
                digest=bytes.fromhex(request.digest),
                scopes=list(scopes),
                expires_at=request.expires_at,
                **whose,
            )

    async def page(self, request: c.ListApiTokens) -> c.ApiTokens:
        """Give a page of tokens."""
        maker = request.maker
        async with self._database.transaction(account=maker.account) as tx:
            rows = await tx.all(
                self._sql["list_tokens"],
                c.ApiToken,
                account=maker.account,
                user=maker.user,
                all=maker.all,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.ApiTokens.of(rows, request.limit)

    async def get(self, request: c.OneApiToken) -> c.ApiToken:
        """Give one token.

        Raises:
            NotFound: it is not there for whoever asks.
        """
        async with self._database.transaction(account=request.maker.account) as tx:
            token = await tx.maybe(self._sql["get_token"], c.ApiToken, **_which(request))
        if token is None:
            raise NotFound("no such API token")
        return token

    async def revoke(self, request: c.OneApiToken) -> Nothing:
        """Let a token be good no more.

        Raises:
            NotFound: it is not there for whoever asks.
        """
        async with self._database.transaction(account=request.maker.account) as tx:
            if not await tx.run(self._sql["revoke_token"], **_which(request)):
                raise NotFound("no such API token")
        return Nothing()

    def _faults(self, maker: c.Maker, scopes: tuple[str, ...]) -> Iterator[FieldError]:
        """Say which scopes cannot be given, and why."""
        for index, scope in enumerate(scopes):
            where = f"/scopes/{index}"
            if scope != ALL and scope not in self._permissions:
                yield FieldError(where, "there is no such permission: see docs/permissions.md")
            elif ALL not in maker.scopes and scope not in maker.scopes:
                yield FieldError(where, "the credential that makes the token lacks this itself")
            elif scope != ALL and not self._permissions.allows(maker.role, scope):
                yield FieldError(where, f"your role here, {maker.role}, does not have this")

    async def _check_expiry(
        self, tx: Connection, maker: c.Maker, expires_at: datetime | None
    ) -> None:
        """Refuse an expiry that has passed, or that lets a token outlive the one that makes it."""
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise _expiry("is in the past")
        own = await tx.maybe(
            self._sql["expiry_of_token"],
            datetime | None,  # type: ignore[arg-type]
            account=maker.account,
            token=maker.actor,
        )
        if own is not None and (expires_at is None or expires_at > own):
            raise _expiry("the token that makes this one expires before")


def _expiry(detail: str) -> Invalid:
    return Invalid("the expiry is not possible", errors=[FieldError("/expires_at", detail)])


def _which(request: c.OneApiToken) -> dict[str, object]:
    maker = request.maker
    return {
        "account": maker.account, "user": maker.user, "all": maker.all, "token": request.token,
    }  # fmt: skip
