"""Scripts that are run once: started, looked at, and told of by devices."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hub import Bus, Database, DeviceReply, EventInfo, Invalid, NotFound, Queries, first_time
from hub.ids import new
from hub.protocol import Reply
from services.scripts import contracts as c
from services.scripts import peers

CONSUMER: Final = "scripts-projects"
LATER: Final = 21
MOST_DEVICES: Final = 10_000
_PAGE: Final = 200
_TAKE_PART: Final = frozenset({"pending", "active"})


class Rules:
    """The rules of runs.

    Args:
        started: is told of devices that have something to run, once that is durable.
    """

    def __init__(
        self, database: Database, bus: Bus, started: Callable[[str, Sequence[str]], None]
    ) -> None:
        self._database = database
        self._bus = bus
        self._started = started
        self._sql = Queries.load("services.scripts")

    async def start(self, request: c.StartRun) -> c.Run:
        """Run a script.

        Raises:
            Invalid: there is no device that could run it, or too many.
        """
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        devices = await self._devices(request)
        if not devices:
            raise Invalid("there is no device that could run it")
        run = new("run")
        scope = {"account": request.account, "project": request.project}
        async with self._database.transaction(account=request.account) as tx:
            await tx.run(
                self._sql["add_run"],
                id=run, body=request.body, timeout=request.timeout, device=request.device,
                group=request.group, wait=request.wait, **scope,
            )  # fmt: skip
            await tx.run(self._sql["add_results"], run=run, devices=devices, **scope)
            made = await tx.one(self._sql["get_run"], c.Run, run=run, **scope)
        self._started(request.account, devices)
        try:  # gone meanwhile, it may have been tidied up before this was written
            await self._bus.request(peers.GET_PROJECT, wanted)
        except NotFound:
            async with self._database.transaction(account=request.account) as tx:
                await tx.run(self._sql["drop_project"], **scope)
            raise
        return made

    async def get(self, request: c.OneRun) -> c.Run:
        """Give one run."""
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(self._sql["get_run"], c.Run, **msgspec.structs.asdict(request))

    async def page(self, request: c.ListRuns) -> c.Runs:
        """Give a page of a project's runs, the newest first."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_runs"], c.Run, **parameters)
        return c.Runs.of(rows, request.limit)

    async def results(self, request: c.ListResults) -> c.Results:
        """Give a page of what became of a run."""
        await self.get(c.OneRun(request.account, request.project, request.run))
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_results"], c.Result, **parameters)
        return c.Results.of(rows, request.limit)

    async def heard(self, replies: Sequence[DeviceReply]) -> None:
        """Take note of what devices say; what is said again changes nothing."""
        async with self._database.system() as tx:
            for one in replies:
                scope = {
                    "run": one.command, "device": one.session.device,
                    "project": one.session.project,
                }  # fmt: skip
                if not one.reply.is_last:
                    await tx.run(self._sql["started"], **scope)
                    continue
                reply = one.reply
                await tx.run(
                    self._sql["ended"],
                    status=status_of(reply), code=reply.code, output=_clean(reply.output),
                    error=_clean(reply.error), seconds=reply.seconds, **scope,
                )  # fmt: skip

    async def project_asked(self, event: peers.ProjectAsked, info: EventInfo) -> None:
        """Forget what was run in a project that is gone."""
        async with self._database.transaction(account=event.account) as tx:
            if await first_time(tx, CONSUMER, info.id) and event.kind == "removal":
                scope = {"account": event.account, "project": event.project}
                await tx.run(self._sql["drop_project"], **scope)

    async def _devices(self, request: c.StartRun) -> list[str]:
        """Find the devices that are meant, in the project, and that may take part.

        Raises:
            NotFound: the device that is named is not in it.
            Invalid: there are too many.
        """
        if request.device:
            one = peers.GetDevice(request.account, request.device)
            found = await self._bus.request(peers.GET_DEVICE, one)
            if found.project != request.project:
                raise NotFound("no such device in this project")
            return [found.id] if found.status in _TAKE_PART else []
        devices: list[str] = []
        after, more = 0, True
        while more:
            wanted = peers.ListDevices(
                request.account, request.project, _PAGE, after, request.group
            )
            page = await self._bus.request(peers.LIST_DEVICES, wanted)
            devices += [one.id for one in page.items if one.status in _TAKE_PART]
            after, more = page.items[-1].number if page.items else after, page.more
            if len(devices) > MOST_DEVICES:
                raise Invalid(f"at most {MOST_DEVICES} devices run a script at once: name a group")
        return devices


def status_of(reply: Reply) -> str:
    """Say what a last reply means."""
    if reply.status != "ended":
        return reply.status
    if reply.timed_out:
        return "timeout"
    return {0: "done", LATER: "later"}.get(reply.code or 0, "failed")


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")  # Postgres holds none
