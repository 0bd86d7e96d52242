"""The scripts of a project's moments: made with it, changed, restored, and gone with it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from hub import (
    Bus,
    Connection,
    Database,
    EventInfo,
    FieldError,
    Invalid,
    NotFound,
    PreconditionFailed,
    Queries,
    first_time,
)
from services.scripts import contracts as c
from services.scripts import peers

SQL: Final = Queries.load("services.scripts")
CONSUMER: Final = "scripts-projects"
DEFAULTS: Final[Mapping[c.Moment, str]] = {
    "pre-install": 'echo "Hello, I run before app installation"\n',
    "pre-update": 'echo "Hello, I run before app update"\n',
    "post-update": 'echo "Hello, I run after app update"\n',
}
TIMEOUT: Final = 300.0
"""Seconds that those may take."""
BODY_BYTES: Final = 128 * 1024
"""Of each, written as JSON: all of them fit into a message to a device."""
MOST_VERSIONS: Final = 100
"""That are kept of each, with the newest."""

_Text = tuple[str, float]
_Choose = Callable[[Connection, c.Script], Awaitable[_Text]]


class Rules:
    """The rules of a project's own scripts.

    Args:
        concerned: is told of devices that are to have something newer, once that is durable.
    """

    def __init__(
        self, database: Database, bus: Bus, concerned: Callable[[list[str]], None]
    ) -> None:
        self._database = database
        self._bus = bus
        self._concerned = concerned

    # ── read ──

    async def get_all(self, request: c.OneProject) -> c.Scripts:
        """Give a project's scripts, each in its newest version."""
        scope = await self._scope(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            version = await tx.one(SQL["revision"], int, **scope)
            found = await tx.all(SQL["newest"], c.Script, moment="", **scope)
        order = [*DEFAULTS]
        return c.Scripts(version, sorted(found, key=lambda one: order.index(one.moment)))

    async def get(self, request: c.OneScript) -> c.Script:
        """Give one of them."""
        scope = await self._scope(request.account, request.project)
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(SQL["newest"], c.Script, moment=request.moment, **scope)

    async def versions(self, request: c.ListVersions) -> c.Versions:
        """Give a page of what it was before."""
        await self._scope(request.account, request.project)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(SQL["versions"], c.Script, **parameters)
        return c.Versions.of(rows, request.limit)

    async def statuses(self, request: c.ListStatuses) -> c.Statuses:
        """Give a page of how far a project's devices are."""
        await self._scope(request.account, request.project)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(SQL["statuses"], c.Status, **parameters)
        return c.Statuses.of(rows, request.limit)

    async def ran(self, request: c.ListResults) -> c.Results:
        """Give a page of what a device ran."""
        await self._bus.request(peers.GET_DEVICE, peers.GetDevice(request.account, request.device))
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(SQL["ran"], c.Ran, **parameters)
        return c.Results.of(rows, request.limit)

    # ── change ──

    async def put(self, request: c.PutScript) -> c.Script:
        """Give a moment another script; the same one once more changes nothing.

        Raises:
            Invalid: no device could have it.
            PreconditionFailed: it has changed since.
        """
        _check(request.body)

        async def choose(_: Connection, old: c.Script) -> _Text:
            if request.versions is not None and str(old.version) not in request.versions:
                raise PreconditionFailed("the script has changed: read it again")
            return request.body, request.timeout

        return await self._change(request, choose)

    async def restore(self, request: c.RestoreScript) -> c.Script:
        """Give a moment a script that it had, as a version of its own.

        Raises:
            NotFound: it never had that version, or it is too long ago.
        """

        async def choose(tx: Connection, _: c.Script) -> _Text:
            if not request.version:
                return DEFAULTS[request.moment], TIMEOUT
            found = await tx.maybe(
                SQL["one_version"], c.Script,
                account=request.account, project=request.project, moment=request.moment,
                version=request.version,
            )  # fmt: skip
            if found is None:
                raise NotFound(f"there is no version {request.version} of it")
            return found.body, found.timeout

        return await self._change(request, choose)

    # ── projects that come and go ──

    async def project_asked(self, event: peers.ProjectAsked, info: EventInfo) -> None:
        """Give a new project its scripts, or forget those of one that is gone."""
        scope = {"account": event.account, "project": event.project}
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            if event.kind == "removal":
                await tx.run(SQL["drop_project"], **scope)
                await tx.run(SQL["drop_devices"], **scope)
                return
            await _begin(tx, scope)
            concerned = await tx.all(SQL["online"], str, **scope)
        self._concerned(concerned)

    # ── within ──

    async def _scope(self, account: str, project: str) -> dict[str, str]:
        """Name a project that is the account's; one from before this service begins now."""
        scope = {"account": account, "project": project}
        await self._is_there(account, project)
        async with self._database.transaction(account=account) as tx:
            if await tx.maybe(SQL["revision"], int, **scope) is not None:
                return scope
            await _begin(tx, scope)
        try:  # gone meanwhile, it may have been tidied up before this was written
            await self._is_there(account, project)
        except NotFound:
            async with self._database.transaction(account=account) as tx:
                await tx.run(SQL["drop_project"], **scope)
            raise
        return scope

    async def _is_there(self, account: str, project: str) -> None:
        await self._bus.request(peers.GET_PROJECT, peers.GetProject(account, project))

    async def _change(self, request: c.PutScript | c.RestoreScript, choose: _Choose) -> c.Script:
        """Make a new version, unless it would be as the newest; changes come one by one."""
        scope, moment = await self._scope(request.account, request.project), request.moment
        async with self._database.transaction(account=request.account) as tx:
            if await tx.maybe(SQL["lock_project"], int, **scope) is None:
                raise NotFound(f"there is no project {request.project}")  # any more
            old = await tx.one(SQL["newest"], c.Script, moment=moment, **scope)
            body, timeout = await choose(tx, old)
            if (old.body, old.timeout) == (body, timeout):
                return old
            version = old.version + 1
            await tx.run(
                SQL["add_version"],
                moment=moment, version=version, body=body, timeout=timeout, by=request.by, **scope,
            )  # fmt: skip
            upto = version - MOST_VERSIONS
            await tx.run(SQL["drop_old_versions"], moment=moment, upto=upto, **scope)
            await tx.run(SQL["raise_revision"], **scope)
            made = await tx.one(SQL["newest"], c.Script, moment=moment, **scope)
            concerned = await tx.all(SQL["online"], str, **scope)
        self._concerned(concerned)
        return made


async def _begin(tx: Connection, scope: dict[str, str]) -> None:
    """Give a project the scripts that every project begins with, unless it has some."""
    if await tx.maybe(SQL["open_project"], int, **scope) is None:
        return
    for moment, body in DEFAULTS.items():
        await tx.run(
            SQL["add_version"],
            moment=moment, version=1, body=body, timeout=TIMEOUT, by="", **scope,
        )  # fmt: skip


def _check(body: str) -> None:
    """See that a script can be kept and sent.

    Raises:
        Invalid: it cannot.
    """
    problem = ""
    if "\0" in body:
        problem = "no script holds a NUL"
    elif len(msgspec.json.encode(body)) > BODY_BYTES:
        problem = f"at most {BODY_BYTES} bytes, written as JSON"
    if problem:
        raise Invalid(problem, errors=[FieldError("/body", problem)])
