"""Projects."""

from hub import (
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

SQL = Queries.load("services.projects")


class Projects:
    """The rules of projects."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def create(self, request: c.CreateProject) -> c.Project:
        """Make a project and say so."""
        async with self._database.transaction(account=request.account) as tx:
            project = await tx.one(
                SQL["add_project"],
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
            return await find_project(tx, request.account, request.project)

    async def list(self, request: c.ListProjects) -> c.Projects:
        """Give a page of projects."""
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                SQL["list_projects"],
                c.Project,
                account=request.account,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Projects.of(rows, request.limit)

    async def rename(self, request: c.RenameProject) -> c.Project:
        """Change a project's name."""
        async with self._database.transaction(account=request.account) as tx:
            await lock_project(tx, request.account, request.project, request.versions)
            return await tx.one(
                SQL["rename_project"],
                c.Project,
                account=request.account,
                project=request.project,
                name=request.name,
            )

    async def delete(self, request: c.DeleteProject) -> Nothing:
        """Delete a project and its tokens; other services delete what is theirs on the event."""
        async with self._database.transaction(account=request.account) as tx:
            await lock_project(tx, request.account, request.project, request.versions)
            scope = {"account": request.account, "project": request.project}
            # On their own topic too: events of different topics may be handled in any order.
            for digest in await tx.all(SQL["delete_tokens"], str, **scope):
                revoked = c.TokenChanged(request.account, request.project, digest, live=False)
                await self._outbox.add(tx, c.TOKEN_CHANGED, revoked, key=request.project)
            await tx.run(SQL["delete_project"], **scope)
            event = c.ProjectChanged(**scope)
            await self._outbox.add(tx, c.DELETED, event, key=request.project)
        return Nothing()


async def find_project(tx: Connection, account: str, project: str) -> c.Project:
    """Give a project.

    Raises:
        NotFound: there is none.
    """
    return await tx.one(SQL["get_project"], c.Project, account=account, project=project)


async def lock_project(
    tx: Connection, account: str, project: str, versions: tuple[str, ...] | None = None
) -> None:
    """Lock the aggregate, so that the order of its events is the order of its changes.

    Raises:
        NotFound: there is none.
        PreconditionFailed: it has another version.
    """
    row = await tx.maybe(SQL["lock_project"], c.Project, account=account, project=project)
    if row is None:
        raise NotFound("no such project")
    if versions is not None and str(row.version) not in versions:
        raise PreconditionFailed("the project has changed: read it again")
