"""The service `devices`: what there is, what it is called, and whether it is here."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from hub import (
    NOTE_DATA,
    Bus,
    Conflict,
    Connection,
    Consumer,
    Database,
    DataMeter,
    Downlink,
    Endpoint,
    EventInfo,
    Invalid,
    IsaaxError,
    NotFound,
    Nothing,
    Outbox,
    Outcome,
    PreconditionFailed,
    Queries,
    StreamEndpoint,
    account_endpoints,
    all_first_time,
    first_time,
    in_rounds,
)
from hub.relay.contracts import (
    DESCRIBE_DEVICES,
    DEVICE_CHANGED,
    DescribeDevices,
    DeviceChanged,
    DeviceHosts,
)
from services.devices import contracts as c
from services.devices import group_contracts as g
from services.devices import peers
from services.devices import usage_contracts as u
from services.devices.account import AccountOfDevices
from services.devices.apps import Apps
from services.devices.groups import Groups, name_groups
from services.devices.usage import Usage

CONSUMER = "devices-presence"
_NONE = "no such device"
_CHANGED = "the device has changed: read it again"


class _Described(msgspec.Struct):
    id: str
    host: str
    group: str


class _Locked(msgspec.Struct):
    id: str
    version: int
    tags: list[str]


class _Version(msgspec.Struct):
    id: str
    version: int


class Devices:
    """The rules of devices."""

    def __init__(self, database: Database, outbox: Outbox, bus: Bus) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus
        self._sql = Queries.load("services.devices")

    async def get(self, request: c.OneDevice) -> c.Device:
        """Give one device."""
        async with self._database.transaction(account=request.account) as tx:
            scope = msgspec.structs.asdict(request)
            return await tx.one(self._sql["get_device"], c.Device, **scope)

    async def list(self, request: c.ListDevices) -> c.Devices:
        """Give a page of a project's devices."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_devices"], c.Device, **parameters)
        return c.Devices.of(rows, request.limit)

    async def change(self, request: c.ChangeDevice) -> c.Device:
        """Name a device, group and tag it."""
        async with self._database.transaction(account=request.account) as tx:
            locked = await self._lock(tx, request.account, request.device, request.versions)
            await name_groups(tx, request.account, locked.project, [request.group])
            device = await tx.one(
                self._sql["change_device"],
                c.Device,
                account=request.account,
                device=request.device,
                label=request.label,
                group=request.group,
                tags=request.tags,
            )
            await self._changed(tx, device.project, device.id)
        return device

    async def change_many(self, request: c.ChangeDevices) -> c.ChangedDevices:
        """Name, group and tag many devices; one that cannot be changed holds up no other."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        scope = {"account": request.account}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["lock_devices"],
                _Locked,
                project=request.project,
                devices=[change.device for change in request.changes],
                **scope,
            )
            locked = {row.id: row for row in rows}
            refused = _refused(request.changes, locked)
            changes = [one for one, why in zip(request.changes, refused, strict=True) if not why]
            named = [change.group for change in changes if change.group is not None]
            await name_groups(tx, request.account, request.project, named)
            changed = await tx.all(
                self._sql["change_devices"],
                _Version,
                devices=[change.device for change in changes],
                labels=[change.label for change in changes],
                groups=[change.group for change in changes],
                tags=[",".join(_tags_after(locked[one.device], one)) for one in changes],
                **scope,
            )
            for row in changed:
                await self._changed(tx, request.project, row.id)
        versions = {row.id: str(row.version) for row in changed}
        return c.ChangedDevices(
            [
                Outcome.failed(why) if why else Outcome(version=versions[change.device])
                for change, why in zip(request.changes, refused, strict=True)
            ]
        )

    async def delete(self, request: c.DeleteDevice) -> Nothing:
        """Revoke a device, cutting it off at once, and then forget it."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.device, request.versions)
        revocation = peers.RevokeDevice(request.account, request.device)
        with suppress(NotFound):  # it never said hello, and auth has dropped it
            await self._bus.request(peers.REVOKE, revocation)
        async with self._database.transaction(account=request.account) as tx:
            device = await self._lock(tx, request.account, request.device, None)
            await tx.run(self._sql["delete_device"], account=request.account, device=request.device)
            await self._changed(tx, device.project, device.id)
        return Nothing()

    async def describe(self, request: DescribeDevices) -> DeviceHosts:
        """Give the host names and groups of devices, for the relay."""
        async with self._database.system() as tx:
            rows = await tx.all(
                self._sql["describe"], _Described, project=request.project, devices=request.devices
            )
        return DeviceHosts({row.id: row.host for row in rows}, {row.id: row.group for row in rows})

    async def device_changed(self, event: peers.DeviceEvent, info: EventInfo) -> None:
        """Take up what happened to a device; an event that comes twice does nothing twice."""
        scope = {"device": event.device, "account": event.account}
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            match event.kind:
                case "registered":
                    await tx.run(
                        self._sql["add_device"],
                        project=event.project,
                        label=event.label,
                        group=event.group,
                        agent=event.agent,
                        system=event.system,
                        status="waiting" if event.waits else "pending",
                        **scope,
                    )
                    await name_groups(tx, event.account, event.project, [event.group])
                    await self._changed(tx, event.project, event.device)
                case "approved":
                    await tx.run(self._sql["approve"], **scope)
                case "opened":
                    await tx.run(
                        self._sql["open_session"],
                        session=event.session,
                        agent=event.agent,
                        system=event.system,
                        addresses=list(event.addresses),
                        **scope,
                    )
                case "closed":
                    await tx.run(self._sql["close_session"], session=event.session, **scope)
                case "revoked" | "quarantined":
                    await tx.run(self._sql["set_status"], status=event.kind, **scope)
                case "dropped":
                    await tx.run(self._sql["delete_device"], **scope)

    async def devices_changed(self, events: Sequence[tuple[peers.DeviceEvent, EventInfo]]) -> None:
        """Take up sessions that many devices opened or closed.

        Raises:
            Conflict: there are others among the events, or some that were taken up before.
        """
        if any(event.kind not in {"opened", "closed"} for event, _ in events):
            raise Conflict("not all of these are sessions")
        async with self._database.system() as tx:
            if not await all_first_time(tx, CONSUMER, [info.id for _, info in events]):
                raise Conflict("some of these were taken up before")
            for round_ in in_rounds(events):
                opened = [event for event in round_ if event.kind == "opened"]
                closed = [event for event in round_ if event.kind == "closed"]
                await tx.run(
                    self._sql["open_sessions"],
                    devices=[event.device for event in opened],
                    accounts=[event.account for event in opened],
                    sessions=[event.session for event in opened],
                    agents=[event.agent for event in opened],
                    systems=[event.system for event in opened],
                    addresses=[",".join(event.addresses) for event in opened],
                )
                await tx.run(
                    self._sql["close_sessions"],
                    devices=[event.device for event in closed],
                    accounts=[event.account for event in closed],
                    sessions=[event.session for event in closed],
                )

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Forget a project's devices; auth has cut them off."""
        async with self._database.transaction(account=event.account) as tx:
            scope = {"project": event.project, "account": event.account}
            await tx.run(self._sql["delete_project"], **scope)
            await tx.run(self._sql["delete_groups"], **scope)

    async def _lock(
        self, tx: Connection, account: str, device: str, versions: tuple[str, ...] | None
    ) -> c.Device:
        row = await tx.maybe(self._sql["lock_device"], c.Device, account=account, device=device)
        if row is None:
            raise NotFound(_NONE)
        if versions is not None and str(row.version) not in versions:
            raise PreconditionFailed(_CHANGED)
        return row

    async def _changed(self, tx: Connection, project: str, device: str) -> None:
        await self._outbox.add(tx, DEVICE_CHANGED, DeviceChanged(device, project), key=device)


def _tags_after(device: _Locked, change: c.OneChange) -> list[str]:
    """Give the tags that a device has once it is changed."""
    return sorted({*device.tags, *change.add_tags} - {*change.remove_tags})


def _refused(
    changes: Sequence[c.OneChange], locked: Mapping[str, _Locked]
) -> list[IsaaxError | None]:
    """Say of each change why it cannot be made.

    Args:
        locked: the devices that there are, by id.
    """
    refused: list[IsaaxError | None] = []
    seen: set[str] = set()
    for change in changes:
        device = locked.get(change.device)
        if device is None:
            refused.append(NotFound(_NONE))
        elif change.device in seen:
            refused.append(Invalid("the same device comes before in this request"))
        elif change.versions is not None and str(device.version) not in change.versions:
            refused.append(PreconditionFailed(_CHANGED))
        elif len(_tags_after(device, change)) > c.MOST_TAGS:
            refused.append(Invalid(f"a device has at most {c.MOST_TAGS} tags"))
        else:
            refused.append(None)
        seen.add(change.device)
    return refused


@asynccontextmanager
async def devices(
    database: Database, outbox: Outbox, bus: Bus, downlink: Downlink, meter: DataMeter
) -> AsyncIterator[None]:
    """Run the service; at its end it hears once more what was counted in its own process."""
    rules, groups = Devices(database, outbox, bus), Groups(database, outbox, bus)
    usage = Usage(database, bus)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.GET, rules.get),
        Endpoint(c.LIST, rules.list),
        Endpoint(c.CHANGE, rules.change),
        Endpoint(c.CHANGE_MANY, rules.change_many),
        Endpoint(c.DELETE, rules.delete),
        Endpoint(g.GET, groups.get),
        Endpoint(g.LIST, groups.list),
        Endpoint(g.MAKE, groups.make),
        Endpoint(g.CHANGE, groups.change),
        Endpoint(g.DELETE, groups.delete),
        Endpoint(DESCRIBE_DEVICES, rules.describe),
        Endpoint(NOTE_DATA, usage.note),
        Endpoint(u.DEVICE, usage.of_device),
        Endpoint(u.PROJECT, usage.of_project),
        Endpoint(u.ACCOUNT, usage.of_account),
        Endpoint(u.TOP, usage.top),
        *account_endpoints("devices", AccountOfDevices(database)),
    ]
    consumers: list[Consumer[Any]] = [
        Consumer(peers.DEVICE, CONSUMER, rules.device_changed, together=rules.devices_changed),
        Consumer(peers.PROJECT_DELETED, "devices-projects", rules.project_deleted),
    ]
    async with (
        bus.serve("devices", "1.0.0", endpoints),
        bus.consume(*consumers),
        downlink.hearing(Apps(database).heard),
    ):
        yield
        with suppress(IsaaxError):
            await meter.tell(bus)


@asynccontextmanager
async def resting(database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("devices", AccountOfDevices(database))
    async with bus.serve("devices-resting", "1.0.0", endpoints):
        yield
