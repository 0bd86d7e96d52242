"""The relay's ways in, on a real broker: logs beside metrics, sources, limits and usage."""

import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from hub.broker import BrokerControl
from hub.builtin import isaax_services
from hub.contracts import Consumer, Endpoint, EventInfo
from hub.database import Database
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.mqtt import Mqtt
from hub.planning import plan
from hub.plugins import PluginHost
from hub.protocol import Mark, Samples, Session, encode_samples
from hub.relay.contracts import (
    LIST_INTEGRATIONS,
    MARKS,
    PROJECT_LIMITS,
    PROJECT_OF_TOKEN,
    READ_LOGS,
    USAGE,
    Integrations,
    LimitsOf,
    ListIntegrations,
    MarksOf,
    ProjectLimits,
    ReadLogs,
    TokenDigest,
    TokenOwner,
    UsageNoted,
)
from hub.relay.ingest import Ingest
from hub.relay.service import relay
from hub.relay.streams import ensure_streams
from hub.secret import Secret
from hub.services import Service
from hub.settings import MqttSettings, PostgresSettings, RelaySettings
from hub.telemetry import Health, Metrics
from hub.vault import Vault
from tests.fixtures.relay import make_lines, make_payload, until

SETTINGS = RelaySettings(max_bytes=1 << 28)


@dataclass
class Device:
    """A device with a session."""

    mqtt: Mqtt
    session: Session
    answers: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, message: Any) -> None:
        message.ack()
        self.answers.append(json.loads(message.payload))

    def log(self, first: int, count: int) -> None:
        self.mqtt.publish(self.session.log("app"), make_payload(first, count))

    def metric(self, first: int, count: int) -> None:
        samples = Samples([1] * count, "cpu_percent", [float(n) for n in range(count)])
        payload = encode_samples(samples, boot=1, first=first)
        self.mqtt.publish(f"{self.session.up}/metric/cpu", payload)

    def slowed(self) -> list[dict[str, Any]]:
        return [answer for answer in self.answers if answer["op"] == "slow"]

    def acked(self, stream: str) -> list[int]:
        return [a["seq"] for a in self.answers if a["op"] == "ack" and a["stream"] == stream]


@dataclass
class Hub:
    """What a relay needs around it."""

    nats: Client
    mqtt_settings: MqttSettings
    database: Database
    control: BrokerControl
    admin: Mqtt
    bus: MemoryBus = field(default_factory=MemoryBus)
    limits: ProjectLimits = field(default_factory=ProjectLimits)
    owner: str = ""
    usage: list[UsageNoted] = field(default_factory=list)
    project: str = field(default_factory=lambda: f"prj_{secrets.token_hex(4)}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ingest]:
        async with relay(
            SETTINGS, self.mqtt_settings, self.nats, self.bus, self.database, Vault(bytes(32)),
            PluginHost.of({}), Metrics(), Health(),
        ) as ingest:  # fmt: skip
            yield ingest

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Device]:
        name, token = f"dev_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.control.token(self.project, hashlib.sha256(token.encode()).digest())
        await self.admin.flush(5)
        settings = msgspec.structs.replace(
            self.mqtt_settings, username=self.project, password=Secret(token)
        )
        async with Mqtt.connect(settings, client=name) as mqtt:
            session = Session(self.project, name, secrets.token_hex(16))
            self.control.session(name, self.project, session.id, int(time.time()) + 60)
            await self.admin.flush(5)
            device = Device(mqtt, session)
            await mqtt.subscribe(session.ack, device.hear)
            yield device

    async def list(self, _request: ListIntegrations) -> Integrations:
        return Integrations([])

    async def limits_of(self, _request: LimitsOf) -> ProjectLimits:
        return self.limits

    async def owner_of(self, _request: TokenDigest) -> TokenOwner:
        return TokenOwner(self.owner)

    async def noted(self, event: UsageNoted, _info: EventInfo) -> None:
        self.usage.append(event)


@pytest.fixture
async def hub(
    relay_client: Client, mqtt_settings: MqttSettings, database_settings: PostgresSettings
) -> AsyncIterator[Hub]:
    await migrate(database_settings, [])
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(database_settings))
        admin = await stack.enter_async_context(
            Mqtt.connect(mqtt_settings, client=f"hub-{secrets.token_hex(4)}")
        )
        hub = Hub(relay_client, mqtt_settings, database, BrokerControl(admin), admin)
        endpoints = [
            Endpoint(LIST_INTEGRATIONS, hub.list),
            Endpoint(PROJECT_LIMITS, hub.limits_of),
            Endpoint(PROJECT_OF_TOKEN, hub.owner_of),
        ]
        await stack.enter_async_context(hub.bus.serve("others", "1.0.0", endpoints))
        await stack.enter_async_context(hub.bus.consume(Consumer(USAGE, "usage", hub.noted)))
        yield hub


async def test_metrics_that_cannot_be_stored_hold_up_no_log(hub: Hub) -> None:
    """More of them than the broker's window, and no stream to put them into."""
    js = hub.nats.jetstream()
    async with hub.running(), hub.device() as chatty, hub.device() as quiet:
        await js.delete_stream("METRIC_0")
        for n in range(1_500):
            chatty.metric(1 + n, 1)
        await chatty.mqtt.flush(20)
        for n in range(1, 51):
            quiet.log(n, 1)
        await until(lambda: quiet.acked("app")[-1:] == [50])
        assert quiet.acked("app") == sorted(quiet.acked("app"))
        assert chatty.answers == []
        await ensure_streams(js, SETTINGS)
        await until(lambda: chatty.acked("metric.cpu")[-1:] == [1_500])
    assert (await js.stream_info("METRIC_0")).state.messages == 1_500


async def test_marks_of_both_kinds_outlive_the_relay(hub: Hub) -> None:
    async with hub.device() as device:
        async with hub.running():
            device.log(1, 3)
            device.metric(1, 5)
            await until(lambda: len(device.answers) == 2)
        async with hub.running():
            asked = MarksOf(hub.project, device.session.device)
            marks = (await hub.bus.request(MARKS, asked)).marks
            assert marks == {"app": Mark(1, 3), "metric.cpu": Mark(1, 5)}
            device.metric(6, 1)
            await until(lambda: device.acked("metric.cpu")[-1:] == [6])
    js = hub.nats.jetstream()
    headers = (await js.get_msg("METRIC_0", 2)).headers or {}
    assert headers["Isaax-Line"] == "5"


async def test_a_client_that_once_subscribed_everything_lets_go_of_metrics(hub: Hub) -> None:
    async with Mqtt.connect(hub.mqtt_settings, client="hub-intake", persistent=True) as old:
        await old.subscribe("d/#", lambda message: message.ack())
    async with hub.device() as device:
        for n in range(1_200):  # more than the broker lets out without a PUBACK
            device.metric(1 + n, 1)
        device.log(1, 2)
        await device.mqtt.flush(20)
        async with hub.running():
            await until(lambda: device.acked("app") == [2])
            device.metric(1, 1)
            await until(lambda: bool(device.acked("metric.cpu")))


async def test_a_quota_of_the_day_counts_what_was_sent_before_the_start(hub: Hub) -> None:
    now = time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    hub.limits = ProjectLimits(lines_per_day=100, day=day, lines=100)
    async with hub.running(), hub.device() as device:
        first = 1
        while not (slow := device.slowed()):
            device.log(first, 1)  # the first one may pass before the limits are known
            await until(lambda first=first: first in device.acked("app") or bool(device.slowed()))
            first += 1
        assert slow[0]["seq"] == max([0, *device.acked("app")])
        assert 0 < slow[0]["wait"] <= 300


async def test_usage_is_told_at_the_end_too(hub: Hub) -> None:
    async with hub.running(), hub.device() as device:
        device.log(1, 3)
        device.metric(1, 5)
        await until(lambda: len(device.answers) == 2)
    await until(lambda: bool(hub.usage))
    assert {event.project for event in hub.usage} == {hub.project}
    assert sum(event.lines for event in hub.usage) == 3
    assert sum(event.samples for event in hub.usage) == 5
    assert sum(event.bytes for event in hub.usage) > 0


async def test_a_source_has_its_lines_in_the_log(hub: Hub) -> None:
    hub.owner = hub.project
    async with hub.running() as ingest:
        project = await ingest.project_of(Secret("isp_token"))
        assert project == hub.project
        await ingest.submit(project, "syslog", "router-1", make_lines(1, 2))
        page = await hub.bus.request(READ_LOGS, ReadLogs(hub.project))
        assert [line.message for line in page.lines] == ["line 1", "line 2"]


def test_a_service_that_asks_for_the_way_in_starts_after_the_relay() -> None:
    @asynccontextmanager
    async def listener(ingest: Ingest) -> AsyncIterator[None]:
        yield

    [found] = [service for service in isaax_services() if service.name == "relay"]
    bare = Service("relay", _yielding, provides=found.provides)
    listening = Service("listener", listener)
    steps = plan(
        ["listener", "relay"], declared={"relay": bare, "listener": listening}, parts=(), values=()
    )
    assert [step.service.name for step in steps] == ["relay", "listener"]


@asynccontextmanager
async def _yielding() -> AsyncIterator[None]:
    yield
