"""What a project may send, what it did send, and whose it is: asked by the relay."""

import datetime as dt

import msgspec

from hub import Actor, Audit, Database, Deed, EventInfo, NotFound, Queries, first_time
from hub.relay.contracts import (
    Accounts,
    AccountsOf,
    LimitsOf,
    ProjectLimits,
    TokenDigest,
    TokenOwner,
    UsageNoted,
)
from services.projects import contracts as c

CONSUMER = "projects-usage"


class Limits:
    """The rules of limits and usage."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.projects")

    async def of(self, request: LimitsOf) -> ProjectLimits:
        """Tell the relay what a project may send; one that is not there has no limits."""
        async with self._database.system() as tx:
            found = await tx.maybe(
                self._sql["limits"], ProjectLimits, project=request.project, day=_today()
            )
        return found or ProjectLimits()

    async def show(self, request: c.GetProject) -> c.Limits:
        """Give a project's limits and what it sent today."""
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(
                self._sql["get_limits"],
                c.Limits,
                account=request.account,
                project=request.project,
                day=_today(),
            )

    async def read(self, project: str) -> ProjectLimits:
        """Give the limits of any project: for the operator of the hub alone.

        Raises:
            NotFound: there is no such project.
        """
        async with self._database.system() as tx:
            found = await tx.maybe(
                self._sql["limits"], ProjectLimits, project=project, day=_today()
            )
        if found is None:
            raise NotFound(f"no project {project}")
        return found

    async def put(self, project: str, limits: ProjectLimits) -> None:
        """Set the limits of any project: for the operator of the hub alone, at the terminal.

        Raises:
            NotFound: there is no such project.
        """
        before = _rates(await self.read(project))
        async with self._database.system() as tx:
            account = await tx.maybe(
                self._sql["set_limits"], str, project=project, **_rates(limits)
            )
            if account is None:
                raise NotFound(f"no project {project}")
            deed = Deed(
                action="limits.set",
                summary="Set what a project may send",
                account=account,
                project=project,
                object={"project": project},
                actor=Actor.at_terminal(),
                before=before,
                after=_rates(limits),
            )
            await Audit().record(tx, deed)

    async def noted(self, event: UsageNoted, info: EventInfo) -> None:
        """Add up what a project sent."""
        async with self._database.system() as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            await tx.run(
                self._sql["note_usage"],
                project=event.project,
                day=dt.date.fromisoformat(event.day),
                lines=event.lines,
                samples=event.samples,
                bytes=event.bytes,
            )

    async def owner(self, request: TokenDigest) -> TokenOwner:
        """Say which project a token is for; it is found by its digest, in an index."""
        if not _is_digest(request.digest):
            return TokenOwner()
        async with self._database.system() as tx:
            found = await tx.maybe(self._sql["token_owner"], _Owner, digest=request.digest)
        return TokenOwner(found.project if found else "")

    async def accounts(self, request: AccountsOf) -> Accounts:
        """Say whose account each of these projects is of."""
        async with self._database.system() as tx:
            found = await tx.all(self._sql["accounts"], _Account, projects=request.projects)
        return Accounts({one.project: one.account for one in found})


class _Owner(msgspec.Struct):
    project: str


class _Account(msgspec.Struct):
    project: str
    account: str


def _rates(limits: ProjectLimits) -> dict[str, float | int | None]:
    return {
        "lines_per_second": limits.lines_per_second,
        "bytes_per_second": limits.bytes_per_second,
        "lines_per_day": limits.lines_per_day,
    }


def _is_digest(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
