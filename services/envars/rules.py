"""Variables of projects, groups and devices: read, set, dropped."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from hub import (
    Bus,
    Conflict,
    Database,
    EventInfo,
    NotFound,
    Nothing,
    PreconditionFailed,
    Vault,
    first_time,
)
from services.envars import contracts as c
from services.envars import peers
from services.envars.effective import Target, effective
from services.envars.levels import SQL, Levels, Place, Row, as_wanted, replacing
from services.envars.variables import AGENTS, check_name

CONSUMER: Final = "envars-projects"
OF_GROUPS: Final = "envars-groups"

Where = c.OneLevel | c.ReplaceLevel | c.PutVariable | c.OneVariable
Change = Callable[[Mapping[str, Row]], Mapping[str, c.Value]]


class _Known(msgspec.Struct, frozen=True):
    version: int
    applied: int
    error: str


class Rules:
    """The rules of variables.

    Args:
        concerned: is told of devices that are to have something newer, once that is durable.
    """

    def __init__(
        self, database: Database, vault: Vault, bus: Bus, concerned: Callable[[list[str]], None]
    ) -> None:
        self._database = database
        self._vault = vault
        self._bus = bus
        self._levels = Levels(vault)
        self._concerned = concerned

    # ── levels ──

    async def get(self, request: c.OneLevel) -> c.Level:
        """Give what is set at a level itself."""
        place = await self._place(request)
        async with self._database.transaction(account=place.account) as tx:
            return await self._levels.read(tx, place)

    async def replace(self, request: c.ReplaceLevel) -> c.Level:
        """Replace what is set at a level.

        Raises:
            Invalid: these cannot be its variables.
            PreconditionFailed: it has changed since.
        """
        place = await self._place(request)
        await self._change(place, lambda old: replacing(old, request.variables), request.versions)
        async with self._database.transaction(account=place.account) as tx:
            return await self._levels.read(tx, place)

    # ── one variable ──

    async def get_one(self, request: c.OneVariable) -> c.Variable:
        """Give one variable of a level."""
        return await self._one(await self._place(request), request.name)

    async def put(self, request: c.PutVariable) -> c.Variable:
        """Set one variable of a level."""
        place = await self._place(request)
        check_name(request.name)

        def change(old: Mapping[str, Row]) -> Mapping[str, c.Value]:
            row = old.get(request.name)
            if request.absent and row is not None:
                raise PreconditionFailed(f"there is {request.name} already")
            _expect(row, request.versions)
            return {**as_wanted(old), request.name: request.variable}

        await self._change(place, change)
        return await self._one(place, request.name)

    async def delete(self, request: c.OneVariable) -> Nothing:
        """Drop one variable of a level; of a project the agent's own stay."""
        place = await self._place(request)

        def change(old: Mapping[str, Row]) -> Mapping[str, c.Value]:
            row = old.get(request.name)
            if row is None:
                raise NotFound(f"there is no {request.name} here")
            _expect(row, request.versions)
            if place.level == "project" and request.name in AGENTS:
                raise Conflict(
                    f"{request.name} is the agent's own and stays; set it to "
                    f"{AGENTS[request.name]}, which is its default"
                )
            rest = as_wanted(old)
            del rest[request.name]
            return rest

        await self._change(place, change)
        return Nothing()

    # ── devices ──

    async def effective(self, request: c.OneDevice) -> c.Effective:
        """Give what a device has, whoever set it."""
        device = await self._device(request.account, request.device)
        target = Target(
            device.id, request.account, device.project, device.label or device.id, device.group
        )
        place = Place(request.account, device.project, "device", device.id)
        async with self._database.transaction(account=request.account) as tx:
            known = await tx.one(SQL["device"], _Known, account=request.account, device=device.id)
            own = await self._levels.read(tx, place)
            (found,) = await effective(tx, self._vault, [target])
        shown = [one.row.shown(one.value) for one in found.variables]
        return c.Effective(device.id, shown, own.version, known.version, known.applied, known.error)

    async def statuses(self, request: c.ListStatuses) -> c.Statuses:
        """Give a page of how far a project's devices are."""
        await self._project(request.account, request.project)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(SQL["statuses"], c.Status, **parameters)
        return c.Statuses.of(rows, request.limit)

    # ── projects that come and go ──

    async def project_asked(self, event: peers.ProjectAsked, info: EventInfo) -> None:
        """Give a new project the agent's variables, or forget one that is gone."""
        scope = {"account": event.account, "project": event.project}
        place = Place(event.account, event.project, "project", "")
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            if event.kind == "removal":
                await tx.run(SQL["drop_levels"], **scope)
                await tx.run(SQL["drop_devices"], **scope)
                return
            old = await self._levels.lock(tx, place)
            defaults = {name: c.Value(value) for name, value in AGENTS.items()}
            concerned = await self._levels.write(tx, place, old, {**defaults, **as_wanted(old)})
        self._concerned(concerned)

    async def group_deleted(self, event: peers.GroupDeleted, _: EventInfo) -> None:
        """Forget what is set for a group that is gone; no device is in it."""
        place = Place(event.account, event.project, "group", event.group)
        async with self._database.transaction(account=event.account) as tx:
            await tx.run(SQL["drop_level"], **place.keys)

    # ── within ──

    async def _change(
        self, place: Place, change: Change, versions: tuple[str, ...] | None = None
    ) -> None:
        async with self._database.transaction(account=place.account) as tx:
            old = await self._levels.lock(tx, place, versions)
            concerned = await self._levels.write(tx, place, old, change(old))
        self._concerned(concerned)
        try:  # gone meanwhile, it may have been tidied up before this was written
            await self._still_there(place)
        except NotFound:
            async with self._database.transaction(account=place.account) as tx:
                await tx.run(SQL["drop_level"], **place.keys)
                await tx.run(SQL["drop_unused"], account=place.account, project=place.project)
            raise

    async def _still_there(self, place: Place) -> None:
        if place.level == "device":
            wanted = peers.GetDevice(place.account, place.target)
            await self._bus.request(peers.GET_DEVICE, wanted)
        elif place.level == "group":
            group = peers.GetGroup(place.account, place.project, place.target)
            await self._bus.request(peers.GET_GROUP, group)
        else:
            await self._project(place.account, place.project)

    async def _one(self, place: Place, name: str) -> c.Variable:
        async with self._database.transaction(account=place.account) as tx:
            level = await self._levels.read(tx, place)
        for variable in level.variables:
            if variable.name == name:
                return variable
        raise NotFound(f"there is no {name} here")

    async def _place(self, where: Where) -> Place:
        """Say which level is meant, once it is sure that the account has it."""
        if where.device:
            device = await self._device(where.account, where.device)
            return Place(where.account, device.project, "device", device.id)
        if where.group:
            group = peers.GetGroup(where.account, where.project, where.group)
            await self._bus.request(peers.GET_GROUP, group)
            return Place(where.account, where.project, "group", where.group)
        await self._project(where.account, where.project)
        return Place(where.account, where.project, "project", "")

    async def _project(self, account: str, project: str) -> None:
        await self._bus.request(peers.GET_PROJECT, peers.GetProject(account, project))

    async def _device(self, account: str, identifier: str) -> peers.Device:
        """Give a device, and see that its row is here: it may be older than this service."""
        device = await self._bus.request(peers.GET_DEVICE, peers.GetDevice(account, identifier))
        async with self._database.transaction(account=account) as tx:
            await tx.run(
                SQL["add_device"],
                device=device.id, account=account, project=device.project,
                label=device.label or device.id, group=device.group,
            )  # fmt: skip
        return device


def _expect(row: Row | None, versions: tuple[str, ...] | None) -> None:
    if versions is not None and (row is None or str(row.version) not in versions):
        raise PreconditionFailed("the variable has changed: read it again")
