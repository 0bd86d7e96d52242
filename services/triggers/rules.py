"""Events of projects become requests, each once.

Two topics tell of a project's beginning and of its end, and may be read in any order. A project
that has ended is not asked for again: its lock is held while it is looked up.
"""

from typing import Final, Literal

from hub import Bus, Connection, Database, EventInfo, NotFound, Outbox, Queries, first_time
from services.triggers.contracts import PROJECT_ASKED, ProjectAsked
from services.triggers.peers import GET_PROJECT, GetProject, ProjectChanged

OF_CREATED: Final = "triggers-created"
OF_DELETED: Final = "triggers-deleted"


class Triggers:
    """The rules of triggers."""

    def __init__(self, database: Database, outbox: Outbox, bus: Bus) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus
        self._sql = Queries.load("services.triggers")

    async def created(self, event: ProjectChanged, info: EventInfo) -> None:
        """Ask for the defaults of a new project, unless it is gone already."""
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, OF_CREATED, info.id):
                return
            await self._lock(tx, event)
            if await self._is_there(event):
                await self._ask(tx, "defaults", event)

    async def deleted(self, event: ProjectChanged, info: EventInfo) -> None:
        """Ask that nothing of a project is left."""
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, OF_DELETED, info.id):
                return
            await self._lock(tx, event)
            await self._ask(tx, "removal", event)

    async def _lock(self, tx: Connection, event: ProjectChanged) -> None:
        await tx.one(self._sql["lock_project"], bool, project=event.project)

    async def _is_there(self, event: ProjectChanged) -> bool:
        try:
            await self._bus.request(GET_PROJECT, GetProject(event.account, event.project))
        except NotFound:
            return False
        return True

    async def _ask(
        self, tx: Connection, kind: Literal["defaults", "removal"], event: ProjectChanged
    ) -> None:
        asked = ProjectAsked(kind, event.account, event.project)
        await self._outbox.add(tx, PROJECT_ASKED, asked, key=event.project)
