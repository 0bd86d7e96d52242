"""What the service `projects` does when an account ends: it lets nobody in, and leaves nothing."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from hub import (
    Counts,
    Database,
    Erased,
    EventInfo,
    Exported,
    OfAccount,
    Outbox,
    Queries,
    difference,
    export_rows,
)
from services.projects import contracts as c
from services.projects.peers import ClosingChanged
from services.projects.rules import Projects
from services.projects.tokens import LiveToken

_AT_ONCE: Final = 100


class _Counted(msgspec.Struct, frozen=True):
    projects: int
    project_tokens: int


class AccountOfProjects:
    """An account's projects, their tokens and what they sent."""

    def __init__(self, database: Database, outbox: Outbox, projects: Projects) -> None:
        self._database = database
        self._outbox = outbox
        self._projects = projects
        self._sql = Queries.load("services.projects")

    async def closing_changed(self, event: ClosingChanged, _: EventInfo) -> None:
        """Void all tokens of an account that is to end, or let them in again when it is not."""
        async with self._database.transaction(account=event.account) as tx:
            query = "suspend" if event.closing else "resume"
            if not await tx.run(self._sql[query], account=event.account):
                return  # heard before
            tokens = await tx.all(self._sql["account_tokens"], LiveToken, account=event.account)
            for token in tokens:
                changed = token.told(event.account, live=not event.closing)
                await self._outbox.add(tx, c.TOKEN_CHANGED, changed, key=token.project)

    async def count(self, request: OfAccount) -> Counts:
        """Count projects and tokens."""
        async with self._database.transaction(account=request.account) as tx:
            counted = await tx.one(self._sql["count"], _Counted, account=request.account)
        return Counts(msgspec.structs.asdict(counted))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give projects, tokens without themselves, and what was sent on which day."""
        for file in ("projects", "project_tokens", "usage"):
            query = self._sql[f"export_{file}"]
            async for page in export_rows(
                self._database, query, account=request.account, file=file
            ):
                yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Delete projects as one deletes a project, so that all hear of it."""
        before = await self.count(request)
        found = await self._projects.list(c.ListProjects(request.account, _AT_ONCE))
        for project in found.items:
            await self._projects.delete(c.DeleteProject(request.account, project.id))
        if not found.more:
            async with self._database.transaction(account=request.account) as tx:
                await tx.run(self._sql["resume"], account=request.account)
        removed = difference(before, await self.count(request))
        return Erased(removed, more=found.more)
