"""Commands: sent, cancelled, looked at, and told of by devices."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hub import Bus, Database, DeviceReply, EventInfo, Invalid, NotFound, Queries, first_time
from hub.ids import new
from services.commands import contracts as c
from services.commands import peers

OF_PROJECTS: Final = "commands-projects"
OF_DEVICES: Final = "commands-devices"
MOST_DEVICES: Final = 10_000
_PAGE: Final = 200
_TAKE_PART: Final = frozenset({"pending", "active"})
_GONE: Final = frozenset({"revoked", "dropped"})


class _Name(msgspec.Struct, frozen=True):
    device: str


class Rules:
    """The rules of commands.

    Args:
        due: is told of devices that are to be sent something, once that is durable.
    """

    def __init__(
        self, database: Database, bus: Bus, due: Callable[[str, Sequence[str]], None]
    ) -> None:
        self._database = database
        self._bus = bus
        self._due = due
        self._sql = Queries.load("services.commands")

    async def send(self, request: c.SendCommand) -> c.Command:
        """Have something done.

        Raises:
            Invalid: there is no device that could do it, or too many.
        """
        project, devices = await self._meant(request)
        if not devices:
            raise Invalid("there is no device that could do it")
        command = new("cmd")
        scope = {"account": request.account, "project": project}
        async with self._database.transaction(account=request.account) as tx:
            await tx.run(
                self._sql["add_command"],
                id=command, action=request.action, timeout=request.timeout,
                device=request.device, group=request.group, wait=request.wait, **scope,
            )  # fmt: skip
            await tx.run(self._sql["add_results"], command=command, devices=devices, **scope)
            made = await tx.one(self._sql["get_command"], c.Command, command=command, **scope)
        self._due(request.account, devices)
        try:  # gone meanwhile, it may have been tidied up before this was written
            await self._bus.request(peers.GET_PROJECT, peers.GetProject(**scope))
        except NotFound:
            async with self._database.transaction(account=request.account) as tx:
                await tx.run(self._sql["drop_project"], **scope)
            raise
        return made

    async def cancel(self, request: c.OneCommand) -> c.Command:
        """Have it done nowhere where it has not begun yet."""
        scope = msgspec.structs.asdict(request)
        async with self._database.transaction(account=request.account) as tx:
            await tx.one(self._sql["get_command"], c.Command, **scope)
            rows = await tx.all(self._sql["cancel"], _Name, **scope)
            left = await tx.one(self._sql["get_command"], c.Command, **scope)
        if rows:
            self._due(request.account, [row.device for row in rows])
        return left

    async def get(self, request: c.OneCommand) -> c.Command:
        """Give one command."""
        async with self._database.transaction(account=request.account) as tx:
            scope = msgspec.structs.asdict(request)
            return await tx.one(self._sql["get_command"], c.Command, **scope)

    async def page(self, request: c.ListCommands) -> c.Commands:
        """Give a page of a project's commands, the newest first."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_commands"], c.Command, **parameters)
        return c.Commands.of(rows, request.limit)

    async def results(self, request: c.ListResults) -> c.Results:
        """Give a page of what became of a command."""
        await self.get(c.OneCommand(request.account, request.project, request.command))
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_results"], c.Result, **parameters)
        return c.Results.of(rows, request.limit)

    async def of_device(self, request: c.ListOfDevice) -> c.DeviceCommands:
        """Give a page of a device's commands, the newest first."""
        device = await self._device(request.account, request.device)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["list_of_device"], c.DeviceCommand, project=device.project, **parameters
            )
        return c.DeviceCommands.of(rows, request.limit)

    async def heard(self, replies: Sequence[DeviceReply]) -> None:
        """Take note of what devices say; what is said again changes nothing."""
        async with self._database.system() as tx:
            for one in replies:
                scope = {
                    "command": one.command, "device": one.session.device,
                    "project": one.session.project,
                }  # fmt: skip
                if not one.reply.is_last:
                    await tx.run(self._sql["started"], **scope)
                    continue
                reply = one.reply
                await tx.run(
                    self._sql["ended"],
                    status=reply.outcome, code=reply.code, output=_clean(reply.output),
                    error=_clean(reply.error), seconds=reply.seconds, **scope,
                )  # fmt: skip

    async def device_changed(self, event: peers.DeviceEvent, info: EventInfo) -> None:
        """End what a device that is gone was to do."""
        async with self._database.transaction(account=event.account) as tx:
            if event.kind in _GONE and await first_time(tx, OF_DEVICES, info.id):
                scope = {"account": event.account, "device": event.device}
                await tx.run(self._sql["end_of_device"], **scope)

    async def devices_changed(self, events: Sequence[tuple[peers.DeviceEvent, EventInfo]]) -> None:
        """Do the same for many: most only come and go."""
        for event, info in events:
            if event.kind in _GONE:
                await self.device_changed(event, info)

    async def project_asked(self, event: peers.ProjectAsked, info: EventInfo) -> None:
        """Forget the commands of a project that is gone."""
        async with self._database.transaction(account=event.account) as tx:
            if await first_time(tx, OF_PROJECTS, info.id) and event.kind == "removal":
                scope = {"account": event.account, "project": event.project}
                await tx.run(self._sql["drop_project"], **scope)

    async def _meant(self, request: c.SendCommand) -> tuple[str, list[str]]:
        """Find the project, and the devices in it that are meant, and that may take part.

        Raises:
            NotFound: there is no such project, or the device that is named is not in it.
            Invalid: there are too many.
        """
        if request.project:
            wanted = peers.GetProject(request.account, request.project)
            await self._bus.request(peers.GET_PROJECT, wanted)
        if request.device:
            found = await self._device(request.account, request.device)
            if found.project != (request.project or found.project):
                raise NotFound("no such device in this project")
            return found.project, [found.id] if found.status in _TAKE_PART else []
        devices: list[str] = []
        after, more = 0, True
        while more:
            page = await self._bus.request(
                peers.LIST_DEVICES,
                peers.ListDevices(request.account, request.project, _PAGE, after, request.group),
            )
            devices += [one.id for one in page.items if one.status in _TAKE_PART]
            after, more = page.items[-1].number if page.items else after, page.more
            if len(devices) > MOST_DEVICES:
                raise Invalid(f"at most {MOST_DEVICES} devices do something at once: name a group")
        return request.project, devices

    async def _device(self, account: str, device: str) -> peers.Device:
        return await self._bus.request(peers.GET_DEVICE, peers.GetDevice(account, device))


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")  # Postgres holds none
