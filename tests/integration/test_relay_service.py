"""The relay as a service: a real broker, JetStream and Postgres; a device, and integrations."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from hub.batches import Batch
from hub.broker import BrokerControl
from hub.contracts import Endpoint, Nothing
from hub.data_meter import DataMeter
from hub.database import Database
from hub.destinations import DestinationType, Tools, Window
from hub.errors import StartError
from hub.hookspecs import hookimpl
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.mqtt import Mqtt
from hub.plugins import PluginHost
from hub.protocol import Mark, Session
from hub.relay.contracts import (
    APPLY_INTEGRATION,
    DEVICE_CHANGED,
    DROP_DEAD,
    INTEGRATION_CHANGED,
    LIST_DEAD,
    LIST_INTEGRATIONS,
    MAKE_ROOM,
    MARKS,
    READ_LOGS,
    STATUS,
    ApplyIntegration,
    DeviceChanged,
    IntegrationChanged,
    Integrations,
    IntegrationSpec,
    IntegrationStatus,
    ListDead,
    ListIntegrations,
    MakeRoom,
    MarksOf,
    ReadLogs,
    SomeDead,
    StatusOf,
)
from hub.relay.service import relay
from hub.relay.streams import ensure_streams
from hub.secret import Secret
from hub.settings import MqttSettings, PostgresSettings, RelaySettings
from hub.telemetry import Health, Metrics
from hub.vault import Vault
from tests.fixtures.relay import Recorder, make_payload, until


class RecorderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names the recorder; the token must come out of the vault."""

    name: str
    token: Secret = Secret("")


class Plugin:
    """Declares the destination types `recorder` and `stream-recorder`."""

    def __init__(self) -> None:
        self.recorders: dict[str, Recorder] = {}
        self.tokens: list[str] = []

    def build(self, config: RecorderConfig, _tools: Tools) -> Recorder:
        self.tokens.append(config.token.reveal())
        return self.recorders.setdefault(config.name, Recorder())

    @hookimpl
    def isaax_destinations(self) -> list[DestinationType[RecorderConfig]]:
        answering = DestinationType("recorder", "Recorder", RecorderConfig, self.build)
        return [
            answering,
            replace(answering, name="stream-recorder", window=Window(1 << 20, 60.0)),
        ]


class Hangs(Recorder):
    """Takes a batch, and never answers."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        await asyncio.Event().wait()


@dataclass
class World:
    """A running relay, and who talks to it."""

    nats: Client
    mqtt_settings: MqttSettings
    database: Database
    bus: MemoryBus
    vault: Vault
    control: BrokerControl
    admin: Mqtt
    settings: RelaySettings
    plugin: Plugin = field(default_factory=Plugin)
    project: str = field(default_factory=lambda: f"prj_{secrets.token_hex(4)}")
    specs: dict[str, IntegrationSpec] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Health]:
        """Run the relay."""
        health = Health()
        async with relay(
            self.settings, self.mqtt_settings, self.nats, self.bus, self.database, self.vault,
            PluginHost.of({"recorder": self.plugin}), self.metrics, health,
            DataMeter(),
        ):  # fmt: skip
            yield health

    @asynccontextmanager
    async def device(self, device: str) -> AsyncIterator["Device"]:
        """Connect a device and open its session."""
        token = secrets.token_hex(8)
        self.control.token(self.project, hashlib.sha256(token.encode()).digest())
        await self.admin.flush(5)
        settings = msgspec.structs.replace(
            self.mqtt_settings, username=self.project, password=Secret(token)
        )
        async with Mqtt.connect(settings, client=device) as mqtt:
            session = Session(self.project, device, secrets.token_hex(16))
            self.control.session(device, self.project, session.id, int(time.time()) + 60)
            await self.admin.flush(5)
            connected = Device(mqtt, session)
            await mqtt.subscribe(session.ack, connected.answer)
            yield connected

    async def spec(self, integration: str, **changes: Any) -> IntegrationSpec:
        """Make an integration whose config is sealed in the vault."""
        config = changes.pop("config", {"name": integration, "token": "sesame"})
        async with self.database.system() as tx:
            sealed = await self.vault.seal(
                tx, json.dumps(config).encode(), account="acc_a", project=self.project,
                name=f"integration/{integration}",
            )  # fmt: skip
        values = {"type": "recorder", "enabled": True, "start_at": 1_000_000, "revision": 1}
        return IntegrationSpec(
            id=integration, account="acc_a", project=self.project, sealed=sealed,
            **(values | changes),
        )  # fmt: skip

    async def apply(self, integration: str, **changes: Any) -> None:
        """Put an integration into the directory, and have it taken up."""
        self.specs[integration] = await self.spec(integration, **changes)
        await self.bus.request(
            APPLY_INTEGRATION, ApplyIntegration(self.specs[integration], integration)
        )

    async def status(self, integration: str) -> IntegrationStatus | None:
        """Ask how an integration fares."""
        items = (await self.bus.request(STATUS, StatusOf([integration]))).items
        return items[0] if items else None

    def texts(self, integration: str) -> list[str]:
        """Give what a recorder was sent."""
        recorder = self.plugin.recorders.get(integration)
        return recorder.texts if recorder else []


@dataclass
class Device:
    """A device with a session."""

    mqtt: Mqtt
    session: Session
    answers: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, message: Any) -> None:
        message.ack()
        self.answers.append(json.loads(message.payload))

    async def send(self, first: int, count: int) -> None:
        """Send a batch and wait for its acknowledgement."""
        self.mqtt.publish(self.session.log("app"), make_payload(first, count))
        last = {"op": "ack", "stream": "app", "boot": 1, "seq": first + count - 1}
        await until(lambda: last in self.answers)


@pytest.fixture
async def world(
    relay_client: Client, mqtt_settings: MqttSettings, database_settings: PostgresSettings
) -> AsyncIterator[World]:
    await migrate(database_settings, [])
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(database_settings))
        admin = await stack.enter_async_context(
            Mqtt.connect(mqtt_settings, client=f"hub-{secrets.token_hex(4)}")
        )
        bus = MemoryBus()
        world = World(
            relay_client, mqtt_settings, database, bus, Vault(bytes(32)),
            BrokerControl(admin), admin, RelaySettings(max_bytes=1 << 30),
        )  # fmt: skip
        world.reading.set()

        async def listed(request: ListIntegrations) -> Integrations:
            items = sorted(world.specs.values(), key=lambda spec: spec.id)
            world.held += not world.reading.is_set()
            await world.reading.wait()
            return Integrations([s for s in items if s.id > request.after][: request.limit])

        await stack.enter_async_context(
            bus.serve("messages", "1.0.0", [Endpoint(LIST_INTEGRATIONS, listed)])
        )
        yield world


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last + 1)]


async def test_from_a_device_to_an_integration(world: World) -> None:
    device_id = f"dev_{secrets.token_hex(4)}"
    async with world.running() as health, world.device(device_id) as device:
        await world.apply("int_a")
        await device.send(1, 3)
        await until(lambda: world.texts("int_a") == texts(1, 3))
        assert world.plugin.tokens == ["sesame"]
        marks = await world.bus.request(MARKS, MarksOf(world.project, device_id))
        assert marks.marks == {"app": Mark(1, 3)}
        page = await world.bus.request(READ_LOGS, ReadLogs(world.project))
        assert [line.message for line in page.lines] == texts(1, 3)

        async def waiting() -> bool:
            status = await world.status("int_a")
            return status is not None and status.state == "waiting"

        await until(waiting)
        status = await world.status("int_a")
        assert status is not None
        assert (status.delivered, status.rejected, status.pending) == (3, 0, 0)
        assert [result.ok for result in await health.check()] == [True, True]
        await world.bus.publish(
            DEVICE_CHANGED, DeviceChanged(device_id, world.project), id="e1", key=device_id
        )


async def test_a_restart_loses_and_repeats_nothing(world: World) -> None:
    device_id = f"dev_{secrets.token_hex(4)}"
    world.specs["int_a"] = await world.spec("int_a")
    world.specs["int_s"] = await world.spec("int_s", type="stream-recorder")
    async with world.device(device_id) as device:
        async with world.running():
            await device.send(1, 3)
            await until(lambda: len(world.texts("int_a") + world.texts("int_s")) == 6)
        device.mqtt.publish(device.session.log("app"), make_payload(4, 2))  # nobody is there
        async with world.running():
            await device.send(4, 2)
            await device.send(6, 1)
            await until(lambda: len(world.texts("int_a") + world.texts("int_s")) == 12)
    assert world.texts("int_a") == texts(1, 6)
    assert world.texts("int_s") == texts(1, 6), "closing well confirmed the window"


async def test_changes_go_on_at_the_same_place(world: World) -> None:
    async with world.running(), world.device(f"dev_{secrets.token_hex(4)}") as device:
        await world.apply("int_a")
        await device.send(1, 2)
        await until(lambda: world.texts("int_a") == texts(1, 2))
        await world.apply("int_a", revision=2, enabled=False)
        await device.send(3, 2)

        async def paused() -> bool:
            status = await world.status("int_a")
            return status is not None and status.state == "paused"

        await until(paused)
        assert world.texts("int_a") == texts(1, 2)
        await world.apply("int_a", revision=3, config={"name": "other"})
        await until(lambda: world.texts("other") == texts(3, 4))
        await world.apply("int_a", revision=2)  # an older one is ignored
        await device.send(5, 1)
        await until(lambda: world.texts("other") == texts(3, 5))
        assert world.texts("int_a") == texts(1, 2)


async def test_a_change_of_one_that_hangs_is_taken_up_soon(world: World) -> None:
    """Its send never ends; one that is slow and answers would be waited for."""
    hanging = Hangs()
    world.plugin.recorders["int_a"] = hanging
    async with world.running(), world.device(f"dev_{secrets.token_hex(4)}") as device:
        await world.apply("int_a")
        await device.send(1, 2)
        await until(lambda: len(hanging.attempts) == 1)
        await world.apply("int_a", revision=2, config={"name": "mended"})
        await until(lambda: world.texts("mended") == texts(1, 2), seconds=5)
    assert len(hanging.attempts) == 1


async def test_a_deleted_integration_is_gone_with_its_consumer(world: World) -> None:
    js = world.nats.jetstream()
    async with world.running():
        await world.apply("int_a")

        async def consumers() -> int:
            return (await js.stream_info("RELAY_0")).state.consumer_count

        async def exists() -> bool:
            return await consumers() == 1

        async def gone() -> bool:
            return await consumers() == 0

        await until(exists)
        del world.specs["int_a"]
        await world.bus.request(APPLY_INTEGRATION, ApplyIntegration(None, "int_a"))
        await until(gone)
        assert await world.status("int_a") is None
        assert b"int_a" not in world.metrics.render()
        await world.apply("int_b")
        await until(exists)
    del world.specs["int_b"]  # while the relay is down
    async with world.running():
        await until(gone)


async def test_dead_letters_that_are_gone_are_counted_in_the_status(world: World) -> None:
    """Over a restart, and until the integration is deleted."""
    js = world.nats.jetstream()
    world.specs["int_a"] = await world.spec("int_a")
    subject = f"dead.{world.project}.int_a"

    def lost(letters: int) -> Any:
        async def is_so() -> bool:
            status = await world.status("int_a")
            return status is not None and (status.lost_letters, status.lost_lines) == (letters, 0)

        return is_so

    async with world.running():
        room = MakeRoom(world.project, {"int_a:one": 2_000})
        assert await world.bus.request(MAKE_ROOM, room) == Nothing()
        for _ in range(3):
            await js.publish(subject, b"x")
        await until(lost(0))
        page = await world.bus.request(LIST_DEAD, ListDead(world.project, "int_a"))
        assert (page.total, page.lost) == (3, 0)
        await world.bus.request(DROP_DEAD, SomeDead(world.project, "int_a", [page.items[0].id]))
    await js.purge_stream("DEAD", seq=3)
    async with world.running():
        await until(lost(1))
        await js.purge_stream("DEAD")
        await until(lost(2), seconds=30)
        assert b'isaax_dead_letters_lost_total{source="int_a"} 2.0' in world.metrics.render()
    async with world.running():
        await until(lost(2))
        event = IntegrationChanged("int_a", world.project, 2, deleted=True)
        del world.specs["int_a"]
        await world.bus.publish(INTEGRATION_CHANGED, event, id="e1", key="int_a")
        await until(lambda: b"isaax_dead_letters_lost_total{" not in world.metrics.render())
        async with world.database.system() as tx:
            assert await tx.raw.fetch("SELECT source FROM relay_letters") == []


async def test_a_list_that_was_read_before_a_deletion_brings_nothing_back(world: World) -> None:
    js = world.nats.jetstream()
    world.specs["int_a"] = await world.spec("int_a")
    async with world.running(), world.device(f"dev_{secrets.token_hex(4)}") as device:
        await device.send(1, 2)
        await until(lambda: world.texts("int_a") == texts(1, 2))
        world.reading.clear()
        changed = IntegrationChanged("int_a", world.project, 2)
        await world.bus.publish(INTEGRATION_CHANGED, changed, id="e1", key="int_a")
        await until(lambda: world.held == 1)  # the list, with int_a in it, is on its way
        del world.specs["int_a"]
        await world.bus.request(APPLY_INTEGRATION, ApplyIntegration(None, "int_a"))
        world.reading.set()
        await world.apply("int_c")
        await until(lambda: world.texts("int_c") == texts(1, 2))
        assert await world.status("int_a") is None
        assert (await js.stream_info("RELAY_0")).state.consumer_count == 1
    assert world.texts("int_a") == texts(1, 2), "nothing was sent again"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "nonsense"}, "no destination type"),
        ({"config": {"nonsense": 1}}, "config is not valid at /nonsense"),
        ({"sealed": b"\x01garbage"}, "config cannot be opened"),
    ],
)
async def test_a_broken_integration_says_so_and_harms_no_other(
    world: World, changes: dict[str, Any], words: str
) -> None:
    async with world.running(), world.device(f"dev_{secrets.token_hex(4)}") as device:
        spec = await world.spec("int_bad", **{k: v for k, v in changes.items() if k != "sealed"})
        if "sealed" in changes:
            spec = msgspec.structs.replace(spec, sealed=changes["sealed"])
        world.specs["int_bad"] = spec
        await world.bus.request(APPLY_INTEGRATION, ApplyIntegration(spec, "int_bad"))
        await world.apply("int_good")
        await device.send(1, 2)
        await until(lambda: world.texts("int_good") == texts(1, 2))

        async def broken() -> bool:
            status = await world.status("int_bad")
            return status is not None and status.state == "broken" and words in status.error

        await until(broken)


async def test_the_number_of_shards_is_fixed(world: World) -> None:
    await ensure_streams(world.nats.jetstream(), world.settings)
    world.settings = RelaySettings(shards=2)
    with pytest.raises(StartError, match=r"relay\.shards is 2, but JetStream holds 1"):
        async with world.running():
            await asyncio.sleep(0)
