"""Groups of devices: each is there from the first time that somebody names it."""

from collections.abc import Iterable

import msgspec

from hub import (
    Bus,
    Conflict,
    Connection,
    Database,
    NotFound,
    Nothing,
    Outbox,
    PreconditionFailed,
    Queries,
)
from services.devices import group_contracts as c
from services.devices import peers

SQL = Queries.load("services.devices")


async def name_groups(tx: Connection, account: str, project: str, names: Iterable[str]) -> None:
    """Have these groups from now on; they stay as long as the transaction lasts."""
    wanted = sorted({*names})
    # Nobody deletes the default one, which most devices are in: so nobody waits for it, either.
    for query, some in (
        ("add_groups", [name for name in wanted if name == c.DEFAULT]),
        ("hold_groups", [name for name in wanted if name != c.DEFAULT]),
    ):
        if some:
            await tx.run(SQL[query], account=account, project=project, names=some)


class Groups:
    """The rules of groups."""

    def __init__(self, database: Database, outbox: Outbox, bus: Bus) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus

    async def get(self, request: c.OneGroup) -> c.Group:
        """Give one group."""
        await self._find_project(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            return await self._get(tx, request)

    async def list(self, request: c.ListGroups) -> c.Groups:
        """Give a page of a project's groups."""
        await self._find_project(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            await name_groups(tx, request.account, request.project, [c.DEFAULT])
            rows = await tx.all(
                SQL["list_groups"],
                c.Group,
                account=request.account,
                project=request.project,
                after=request.after,
                name="",
                limit=request.limit + 1,
            )
        return c.Groups.of(rows, request.limit)

    async def make(self, request: c.MakeGroup) -> c.Group:
        """Make a group.

        Raises:
            Conflict: there is one of that name.
        """
        await self._find_project(request.account, request.project)
        one = c.OneGroup(request.account, request.project, request.name)
        async with self._database.transaction(account=request.account) as tx:
            made = await tx.run(
                SQL["add_groups"],
                account=request.account,
                project=request.project,
                names=[request.name],
            )
            if not made or request.name == c.DEFAULT:
                raise Conflict(f"there is a group {request.name} already")
            await self._describe(tx, one, request.description)
            return await self._get(tx, one)

    async def change(self, request: c.ChangeGroup) -> c.Group:
        """Describe a group."""
        one = c.OneGroup(request.account, request.project, request.name)
        await self._find_project(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, one, request.versions)
            await self._describe(tx, one, request.description)
            return await self._get(tx, one)

    async def delete(self, request: c.DeleteGroup) -> Nothing:
        """Delete a group.

        Raises:
            Conflict: there are devices in it, or it is the one that every project has.
        """
        if request.name == c.DEFAULT:
            raise Conflict("every project has this group")
        one = c.OneGroup(request.account, request.project, request.name)
        await self._find_project(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, one, request.versions)
            scope = msgspec.structs.asdict(one)
            if await tx.one(SQL["is_in_use"], bool, **scope):
                raise Conflict("there are devices in this group: put them into another one first")
            await tx.run(SQL["delete_group"], **scope)
            gone = c.GroupDeleted(request.account, request.project, request.name)
            await self._outbox.add(tx, c.DELETED, gone, key=f"{request.project}/{request.name}")
        return Nothing()

    async def _find_project(self, account: str, project: str) -> None:
        await self._bus.request(peers.GET_PROJECT, peers.GetProject(account, project))

    async def _get(self, tx: Connection, one: c.OneGroup) -> c.Group:
        await self._name_default(tx, one)
        group = await tx.maybe(
            SQL["list_groups"], c.Group, after=0, limit=1, **msgspec.structs.asdict(one)
        )
        if group is None:
            raise NotFound("no such group")
        return group

    async def _lock(
        self, tx: Connection, one: c.OneGroup, versions: tuple[str, ...] | None
    ) -> None:
        await self._name_default(tx, one)
        version = await tx.maybe(SQL["lock_group"], int, **msgspec.structs.asdict(one))
        if version is None:
            raise NotFound("no such group")
        if versions is not None and str(version) not in versions:
            raise PreconditionFailed("the group has changed: read it again")

    async def _describe(self, tx: Connection, one: c.OneGroup, description: str) -> None:
        scope = msgspec.structs.asdict(one)
        await tx.run(SQL["change_group"], description=description, **scope)

    async def _name_default(self, tx: Connection, one: c.OneGroup) -> None:
        if one.name == c.DEFAULT:
            await name_groups(tx, one.account, one.project, [c.DEFAULT])
