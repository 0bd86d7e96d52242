"""Which devices there are, whether they are here, and what they say that they have."""

from typing import Final

import msgspec

from hub import Bus, Database, EventInfo, Presence, Pusher, Reports, WantedBy, first_time
from hub.relay.contracts import DESCRIBE_DEVICES, DescribeDevices, DeviceChanged
from services.envars.levels import SQL, Place
from services.envars.peers import DeviceEvent

KIND: Final = "envars"
CONSUMER: Final = "envars-devices"
DESCRIBER: Final = "envars-descriptions"
DEFAULT_GROUP: Final = "default"


class _Host(msgspec.Struct, frozen=True):
    """What is filled in for a device."""

    label: str
    group: str = DEFAULT_GROUP


class Fleet:
    """Keeps a row for each device."""

    def __init__(self, database: Database, bus: Bus, pusher: Pusher) -> None:
        self._database = database
        self._bus = bus
        self._pusher = pusher
        self.reports = Reports(database, KIND, SQL, pusher)
        self.presence = Presence(database, CONSUMER, SQL, pusher)

    async def device_changed(self, event: DeviceEvent, info: EventInfo) -> None:
        """Take up what happened to a device; an event that comes twice does nothing twice."""
        scope = {"device": event.device, "account": event.account}
        host = _Host(event.device, event.group or DEFAULT_GROUP)
        if event.kind == "opened" and not await self._knows(event):
            host = await self._described(event.project, event.device) or host
        behind: bool | None = None
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            match event.kind:
                case "registered" | "opened":
                    await tx.run(
                        SQL["add_device"],
                        project=event.project, label=host.label, group=host.group, **scope,
                    )  # fmt: skip
                    if event.kind == "opened":
                        behind = await tx.maybe(
                            SQL["open_session"], bool, session=event.session, **scope
                        )
                case "closed":
                    await tx.run(SQL["close_session"], session=event.session, **scope)
                case "revoked" | "dropped":
                    place = Place(event.account, event.project, "device", event.device)
                    await tx.run(SQL["drop_level"], **place.keys)
                    await tx.run(SQL["drop_device"], **scope)
        if behind:
            self._pusher.push([event.device])

    async def device_described(self, event: DeviceChanged, _: EventInfo) -> None:
        """Take up a device's label and group; what was taken up before changes nothing."""
        host = await self._described(event.project, event.device)
        scope = {"device": event.device, "project": event.project}
        async with self._database.system() as tx:
            if host is None:
                await tx.run(SQL["forget_device_level"], **scope)
                await tx.run(SQL["forget_device"], **scope)
                return
            changed = await tx.run(
                SQL["describe_device"], label=host.label, group=host.group, **scope
            )
        if changed:
            self._pusher.push([event.device])

    async def _knows(self, event: DeviceEvent) -> bool:
        return (await self.reports.wanted(WantedBy(event.project, event.device))).version > 0

    async def _described(self, project: str, device: str) -> _Host | None:
        """Give a device's label and group; None when the service `devices` has it no more.

        Raises:
            Unavailable: that service does not answer; the event comes again.
        """
        found = await self._bus.request(DESCRIBE_DEVICES, DescribeDevices(project, [device]))
        if device not in found.hosts:
            return None
        return _Host(found.hosts[device], found.groups.get(device, DEFAULT_GROUP))
