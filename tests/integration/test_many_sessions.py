"""Sessions of many devices, taken up together: as one by one, in each one's order, and once."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from hub import Conflict, Database, EventInfo, Outbox, Pusher
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.plugins import PluginHost
from hub.settings import PostgresSettings
from services.devices.peers import DeviceEvent
from services.devices.service import Devices
from services.envars import peers as envars_peers
from services.envars.fleet import Fleet


class Pushed:
    """Stands for who sends variables: keeps to whom."""

    def __init__(self) -> None:
        self.devices: list[str] = []

    def push(self, devices: list[str]) -> None:
        self.devices += devices


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes up sessions, on one database."""

    database: Database
    devices: Devices
    fleet: Fleet
    pushed: Pushed

    async def sessions(self, table: str, key: str) -> dict[str, str]:
        """Give the session of each device."""
        async with self.database.system() as tx:
            rows = await tx.raw.fetch(f"SELECT {key} AS device, session FROM {table}")
        return {row["device"]: row["session"] for row in rows}


@pytest.fixture
async def takers(database_settings: PostgresSettings) -> AsyncIterator[Takers]:
    """Both services' rules, and three devices in two accounts that have registered."""
    await migrate(database_settings, PluginHost.load(quiet=True).migrations)
    async with Database.open(database_settings) as database:
        bus, pushed = MemoryBus(), Pushed()
        made = Takers(
            database,
            Devices(database, Outbox(None), bus),
            Fleet(database, bus, cast("Pusher", pushed)),
            pushed,
        )
        for device, account in (("a", "acc_1"), ("b", "acc_2"), ("c", "acc_1")):
            await made.devices.device_changed(*event("registered", device, account))
            await made.fleet.device_changed(*for_envars(event("registered", device, account)))
        yield made


def event(
    kind: str, device: str, account: str = "acc_1", session: str = ""
) -> tuple[DeviceEvent, EventInfo]:
    happened = DeviceEvent(
        kind, account, "prj_1", device, session, agent="agent/1", addresses=("192.0.2.1", "::1")
    )
    return happened, EventInfo(str(uuid.uuid4()), device, 1)


def for_envars(pair: tuple[DeviceEvent, EventInfo]) -> tuple[envars_peers.DeviceEvent, EventInfo]:
    """The same event as the other service reads it."""
    one, info = pair
    read = envars_peers.DeviceEvent(
        kind=one.kind, account=one.account, project=one.project, device=one.device,
        session=one.session, group=one.group,
    )  # fmt: skip
    return read, info


EVENTS = [
    event("opened", "a", session="a1"), event("opened", "b", "acc_2", "b1"),
    event("closed", "a", session="a1"), event("opened", "a", session="a2"),
    event("closed", "b", "acc_2", "b1"), event("opened", "c", session="c1"),
    event("closed", "c", session="of another"),
]  # fmt: skip
THEN = {"a": "a2", "b": "", "c": "c1"}


async def test_devices_are_here_or_not_as_their_last_event_says(takers: Takers) -> None:
    await takers.devices.devices_changed(EVENTS)
    assert await takers.sessions("devices_device", "id") == THEN
    async with takers.database.system() as tx:
        row = await tx.raw.fetchrow("SELECT * FROM devices_device WHERE id = 'a'")
    assert row is not None
    assert (row["status"], row["agent"], row["addresses"]) == (
        "active", "agent/1", ["192.0.2.1", "::1"],
    )  # fmt: skip
    with pytest.raises(Conflict, match="before"):
        await takers.devices.devices_changed([event("closed", "a", session="a2"), EVENTS[0]])
    assert await takers.sessions("devices_device", "id") == THEN, "all or nothing"


async def test_variables_go_to_the_sessions_that_are_open(takers: Takers) -> None:
    await takers.fleet.presence.changed([for_envars(one) for one in EVENTS])
    assert await takers.sessions("envars_device", "device") == THEN
    assert set(takers.pushed.devices) == {"a", "b", "c"}, "none has said what it has"
    known = for_envars(event("closed", "a", session="a2"))
    with pytest.raises(Conflict, match="known"):
        await takers.fleet.presence.changed([known, for_envars(event("opened", "stranger"))])
    assert await takers.sessions("envars_device", "device") == THEN, "all or nothing"


@pytest.mark.parametrize("kind", ["registered", "approved", "revoked", "dropped"])
async def test_what_is_more_than_a_session_is_taken_up_by_itself(takers: Takers, kind: str) -> None:
    events: list[Any] = [EVENTS[0], event(kind, "b", "acc_2")]
    with pytest.raises(Conflict):
        await takers.devices.devices_changed(events)
    with pytest.raises(Conflict):
        await takers.fleet.presence.changed([for_envars(one) for one in events])
    assert await takers.sessions("devices_device", "id") == dict.fromkeys("abc", "")
