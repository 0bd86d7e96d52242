"""Project tokens: two of a project at a time, and what devices may register with each."""

import hashlib
import secrets

import msgspec

from hub import Conflict, Connection, Database, NotFound, Nothing, Outbox, PreconditionFailed
from hub.ids import new
from services.projects import contracts as c
from services.projects.rules import SQL, find_project, lock_project

KIND = "isp_"  # lets a scanner recognise a leaked project token


class LiveToken(c.Token, frozen=True, kw_only=True):
    """A token with its SHA-256 (hex)."""

    digest: str

    def told(self, account: str, *, live: bool = True) -> c.TokenChanged:
        """Give the event that tells of it."""
        return c.TokenChanged(
            account, self.project, self.digest, live=live, id=self.id, enrolment=self.enrolment
        )


class Tokens:
    """The rules of project tokens."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def create(self, request: c.CreateToken) -> c.CreatedToken:
        """Make a token; two may be valid at a time, so that one can be rotated."""
        secret = KIND + secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        scope = {"account": request.account, "project": request.project}
        async with self._database.transaction(account=request.account) as tx:
            await lock_project(tx, request.account, request.project)
            if await tx.one(SQL["is_suspended"], bool, account=request.account):
                raise Conflict("the account is being deleted: undo that first")
            slot = await tx.maybe(SQL["free_slot"], int, **scope)
            if slot is None:
                raise Conflict("two tokens of a project are valid at a time: delete one first")
            token = await tx.one(
                SQL["add_token"],
                LiveToken,
                id=new("tok"),
                name=request.name,
                prefix=secret[: len(KIND) + 6],
                digest=digest,
                slot=slot,
                **scope,
                **msgspec.structs.asdict(request.enrolment),
            )
            told = token.told(request.account)
            await self._outbox.add(tx, c.TOKEN_CHANGED, told, key=request.project)
        return c.CreatedToken(token, secret)

    async def get(self, request: c.OneToken) -> c.Token:
        """Give one token, without its secret."""
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(SQL["get_token"], c.Token, **msgspec.structs.asdict(request))

    async def list(self, request: c.ListTokens) -> c.Tokens:
        """Give a page of a project's tokens."""
        async with self._database.transaction(account=request.account) as tx:
            await find_project(tx, request.account, request.project)
            rows = await tx.all(
                SQL["list_tokens"],
                c.Token,
                account=request.account,
                project=request.project,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Tokens.of(rows, request.limit)

    async def change(self, request: c.ChangeToken) -> c.Token:
        """Name a token, and say what registering with it means from now on."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request, request.versions)
            changed = await tx.one(
                SQL["change_token"],
                LiveToken,
                name=request.name,
                account=request.account,
                project=request.project,
                token=request.token,
                **msgspec.structs.asdict(request.enrolment),
            )
            told = changed.told(request.account)
            await self._outbox.add(tx, c.TOKEN_CHANGED, told, key=request.project)
        return changed

    async def delete(self, request: c.DeleteToken) -> Nothing:
        """Revoke a token: the broker refuses it and cuts off who used it."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request, request.versions)
            digest = await tx.one(
                SQL["delete_token"],
                str,
                account=request.account,
                project=request.project,
                token=request.token,
            )
            event = c.TokenChanged(request.account, request.project, digest, live=False)
            await self._outbox.add(tx, c.TOKEN_CHANGED, event, key=request.project)
        return Nothing()

    @staticmethod
    async def _lock(
        tx: Connection, request: c.ChangeToken | c.DeleteToken, versions: tuple[str, ...] | None
    ) -> None:
        await lock_project(tx, request.account, request.project)
        token = await tx.maybe(
            SQL["get_token"],
            c.Token,
            account=request.account,
            project=request.project,
            token=request.token,
        )
        if token is None:
            raise NotFound("no such token")
        if versions is not None and str(token.version) not in versions:
            raise PreconditionFailed("the token has changed: read it again")

    async def list_digests(self, request: c.ListDigests) -> c.Digests:
        """Give a page of all live digests, of every account: for the broker's table alone."""
        async with self._database.system() as tx:
            rows = await tx.all(
                SQL["list_digests"], c.TokenDigest, after=request.after, limit=request.limit
            )
        return c.Digests(rows)
