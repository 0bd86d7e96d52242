"""Projects in which a member's role is a narrower one than in the account."""

from hub import Bus, Conflict, Connection, Database, EventInfo, NotFound, Nothing, Role
from services.accounts import peers
from services.accounts.organisations import contracts as c
from services.accounts.organisations.standing import (
    SQL,
    check_may_manage,
    check_version,
    is_narrower,
    lock,
    member,
    role_of,
    version_in_project,
)


class Narrowing:
    """The rules of narrowed roles."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def page(self, request: c.ListProjectMembers) -> c.ProjectMembers:
        """Give a page of an account's members, and what they are in a project."""
        await self._see_project(request.account, request.project)
        async with self._database.system() as tx:
            rows = await tx.all(
                SQL["list_project_members"],
                c.ProjectMember,
                account=request.account,
                project=request.project,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.ProjectMembers.of(rows, request.limit)

    async def get(self, request: c.OneProjectMember) -> c.ProjectMember:
        """Give one member, and what they are in a project."""
        await self._see_project(request.account, request.project)
        return await self._get(request.account, request.project, request.user)

    async def narrow(self, request: c.Narrow) -> c.ProjectMember:
        """Make a member's role a narrower one in a project; it counts from the next request on.

        Raises:
            Conflict: it is not narrower, or the member is an owner.
        """
        account, project, user = request.account, request.project, request.user
        await self._see_project(account, project)
        async with self._database.transaction(account=account) as tx:
            held = await self._touch(tx, request)
            if held is Role.OWNER:
                raise Conflict("an owner has all rights in every project: change the role first")
            if not is_narrower(request.role, held):
                raise Conflict(f"{request.role} is not narrower than the role here, {held}")
            await tx.run(
                SQL["narrow"], account=account, project=project, user=user, role=request.role
            )
        try:  # deleted meanwhile, its event may have been here before the row was
            await self._see_project(account, project)
        except NotFound:
            await self._forget(account, project)
            raise
        return await self._get(account, project, user)

    async def widen(self, request: c.Widen) -> Nothing:
        """Let a member be in a project what they are in the account.

        Raises:
            NotFound: they are.
        """
        account, project, user = request.account, request.project, request.user
        await self._see_project(account, project)
        async with self._database.transaction(account=account) as tx:
            await self._touch(tx, request)
            if not await tx.run(SQL["widen"], account=account, project=project, user=user):
                raise NotFound("this member's role is not narrowed here")
        return Nothing()

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Forget what was narrowed in a project that is gone."""
        await self._forget(event.account, event.project)

    async def _touch(self, tx: Connection, request: c.Narrow | c.Widen) -> Role:
        """Hold the account, see that who asks may, and give the member's role in it."""
        account, project, user = request.account, request.project, request.user
        await lock(tx, account)
        held = await member(tx, account, user)
        narrowed = await tx.maybe(
            SQL["narrowed_to"], Role, account=account, project=project, user=user
        )
        now = version_in_project(held.version, narrowed)
        check_version(now, request.versions, "the member")
        check_may_manage(await role_of(tx, account, request.by), held.role)
        return held.role

    async def _get(self, account: str, project: str, user: str) -> c.ProjectMember:
        async with self._database.system() as tx:
            found = await tx.maybe(
                SQL["get_project_member"],
                c.ProjectMember,
                account=account,
                project=project,
                user=user,
            )
        if found is None:
            raise NotFound("no such member")
        return found

    async def _see_project(self, account: str, project: str) -> None:
        """See that the project is there, for whoever asks.

        Raises:
            NotFound: it is not, or it is hidden from them.
        """
        await self._bus.request(peers.GET_PROJECT, peers.GetProject(account, project))

    async def _forget(self, account: str, project: str) -> None:
        async with self._database.transaction(account=account) as tx:
            await tx.run(SQL["forget_project"], account=account, project=project)
