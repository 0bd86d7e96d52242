"""Projects and their tokens."""

import hashlib
import secrets

import msgspec

from hub import (
    Conflict,
    Connection,
    Database,
    NotFound,
    Nothing,
    Outbox,
    PreconditionFailed,
    Queries,
)
from hub.ids import new
from services.projects import contracts as c

KIND = "isp_"  # lets a scanner recognise a leaked project token


class _Slot(msgspec.Struct):
    slot: int


class _Digest(msgspec.Struct):
    digest: str


class Projects:
    """The rules of projects."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._sql = Queries.load("services.projects")

    async def create(self, request: c.CreateProject) -> c.Project:
        """Make a project and say so."""
        async with self._database.transaction(account=request.account) as tx:
            project = await tx.one(
                self._sql["add_project"],
                c.Project,
                id=new("prj"),
                account=request.account,
                name=request.name,
            )
            event = c.ProjectChanged(request.account, project.id)
            await self._outbox.add(tx, c.CREATED, event, key=project.id)
        return project

    async def get(self, request: c.GetProject) -> c.Project:
        """Give one project."""
        async with self._database.transaction(account=request.account) as tx:
            return await self._project(tx, request.account, request.project)

    async def list(self, request: c.ListProjects) -> c.Projects:
        """Give a page of projects."""
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["list_projects"],
                c.Project,
                account=request.account,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Projects(rows[: request.limit], len(rows) > request.limit)

    async def rename(self, request: c.RenameProject) -> c.Project:
        """Change a project's name."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.project, request.versions)
            return await tx.one(
                self._sql["rename_project"],
                c.Project,
                account=request.account,
                project=request.project,
                name=request.name,
            )

    async def delete(self, request: c.DeleteProject) -> Nothing:
        """Delete a project and its tokens; other services delete what is theirs on the event."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.project, request.versions)
            scope = {"account": request.account, "project": request.project}
            # On their own topic too: events of different topics may be handled in any order.
            for token in await tx.all(self._sql["delete_tokens"], _Digest, **scope):
                revoked = c.TokenChanged(digest=token.digest, live=False, **scope)
                await self._outbox.add(tx, c.TOKEN_CHANGED, revoked, key=request.project)
            await tx.run(self._sql["delete_project"], **scope)
            event = c.ProjectChanged(**scope)
            await self._outbox.add(tx, c.DELETED, event, key=request.project)
        return Nothing()

    async def create_token(self, request: c.CreateToken) -> c.CreatedToken:
        """Make a token; two may be valid at a time, so that one can be rotated."""
        secret = KIND + secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        scope = {"account": request.account, "project": request.project}
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.project, None)
            if await tx.one(self._sql["is_suspended"], bool, account=request.account):
                raise Conflict("the account is being deleted: undo that first")
            free = await tx.maybe(self._sql["free_slot"], _Slot, **scope)
            if free is None:
                raise Conflict("two tokens of a project are valid at a time: delete one first")
            token = await tx.one(
                self._sql["add_token"],
                c.Token,
                id=new("tok"),
                name=request.name,
                prefix=secret[: len(KIND) + 6],
                digest=digest,
                slot=free.slot,
                **scope,
            )
            event = c.TokenChanged(digest=digest.hex(), live=True, **scope)
            await self._outbox.add(tx, c.TOKEN_CHANGED, event, key=request.project)
        return c.CreatedToken(token, secret)

    async def get_token(self, request: c.OneToken) -> c.Token:
        """Give one token, without its secret."""
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(self._sql["get_token"], c.Token, **msgspec.structs.asdict(request))

    async def list_tokens(self, request: c.ListTokens) -> c.Tokens:
        """Give a page of a project's tokens."""
        async with self._database.transaction(account=request.account) as tx:
            await self._project(tx, request.account, request.project)
            rows = await tx.all(
                self._sql["list_tokens"],
                c.Token,
                account=request.account,
                project=request.project,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Tokens(rows[: request.limit], len(rows) > request.limit)

    async def delete_token(self, request: c.OneToken) -> Nothing:
        """Revoke a token: the broker refuses it and cuts off who used it."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.project, None)
            gone = await tx.one(
                self._sql["delete_token"], _Digest, **msgspec.structs.asdict(request)
            )
            event = c.TokenChanged(request.account, request.project, gone.digest, live=False)
            await self._outbox.add(tx, c.TOKEN_CHANGED, event, key=request.project)
        return Nothing()

    async def list_digests(self, request: c.ListDigests) -> c.Digests:
        """Give a page of all live digests, of every account: for the broker's table alone."""
        async with self._database.system() as tx:
            rows = await tx.all(
                self._sql["list_digests"], c.TokenDigest, after=request.after, limit=request.limit
            )
        return c.Digests(rows)

    async def _project(self, tx: Connection, account: str, project: str) -> c.Project:
        return await tx.one(self._sql["get_project"], c.Project, account=account, project=project)

    async def _lock(
        self, tx: Connection, account: str, project: str, versions: tuple[str, ...] | None
    ) -> None:
        """Lock the aggregate, so that the order of its events is the order of its changes."""
        row = await tx.maybe(self._sql["lock_project"], c.Project, account=account, project=project)
        if row is None:
            raise NotFound("no such project")
        if versions is not None and str(row.version) not in versions:
            raise PreconditionFailed("the project has changed: read it again")
