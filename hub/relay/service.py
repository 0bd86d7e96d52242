"""The relay as a service: brought up in an order that loses nothing, and down in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import structlog
from nats.aio.client import Client

from hub.contracts import Bus, Consumer, Endpoint, EventInfo, Nothing, StreamEndpoint
from hub.database import Database
from hub.errors import StartError, Unavailable
from hub.memory import keep_freed_buffers
from hub.mqtt import Mqtt
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.protocol import MAX_PAYLOAD_BYTES
from hub.relay.checkpoint import Checkpoints, restore
from hub.relay.contracts import (
    APPLY_INTEGRATION,
    DEVICE_CHANGED,
    INTEGRATION_CHANGED,
    MARKS,
    READ_LOGS,
    STATUS,
    TAIL_LOGS,
    ApplyIntegration,
    DeviceChanged,
    IntegrationChanged,
    Marks,
    MarksOf,
    Statuses,
    StatusOf,
)
from hub.relay.counts import LineCounts
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.ingest import Ingest
from hub.relay.intake import LOG_TOPICS, METRIC_TOPICS, Intake
from hub.relay.integrations import Integrations, Workshop
from hub.relay.limits import Gate, defaults_of
from hub.relay.logs import Logs
from hub.relay.marks import MarkTable
from hub.relay.meters import DeliveryMeters, IntakeMeters
from hub.relay.streams import ensure_streams
from hub.relay.tasks import Tasks
from hub.relay.usage import Usage
from hub.relay.writer import Writer
from hub.settings import MqttSettings, RelaySettings
from hub.telemetry import Health, Metrics
from hub.vault import Vault

_log = structlog.stdlib.get_logger(__name__)

_HEADERS: Final = 4096  # bytes that a message's headers take at most
_APPLY: Final = 2.0  # seconds that an `apply` is waited for; it goes on by itself
_ONCE_SUBSCRIBED: Final = "d/#"  # by earlier versions: the broker keeps it for our client
_DRAIN: Final = 5.0  # seconds that what was taken may need to be stored at the end


@asynccontextmanager
async def relay(
    settings: RelaySettings,
    mqtt: MqttSettings,
    nats: Client,
    bus: Bus,
    database: Database,
    vault: Vault,
    plugins: PluginHost,
    metrics: Metrics,
    health: Health,
) -> AsyncIterator[Ingest]:
    """Run intake and delivery, and serve the relay's contracts; give sources the way in.

    Raises:
        StartError: JetStream is not what the settings say.
    """
    if nats.max_payload < MAX_PAYLOAD_BYTES + _HEADERS:
        raise StartError(
            f"NATS takes messages of {nats.max_payload} bytes; set its max_payload to "
            f"{MAX_PAYLOAD_BYTES + _HEADERS} or more"
        )
    await ensure_streams(nats.jetstream(), settings)
    hosts = HostNames(bus)
    keep_freed_buffers()
    # Without one of its loops the relay would go on half: whoever supervises us starts us anew.
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        tasks = Tasks(group)
        stack.push_async_callback(tasks.cancel)
        dead = DeadLetters(nats)
        tasks.start(dead.run())
        marks = MarkTable()
        integrations = await stack.enter_async_context(
            _delivering(settings, nats, bus, database, vault, plugins, metrics, dead, hosts, tasks)
        )
        ingest = await stack.enter_async_context(
            _taking(settings, mqtt, nats, bus, database, metrics, marks, dead, tasks)
        )
        await stack.enter_async_context(
            _serving(bus, nats, marks, integrations, hosts, settings.shards)
        )
        stack.enter_context(health.add("relay", lambda: _check(nats)))
        yield ingest


async def _check(nats: Client) -> None:
    if not nats.is_connected:
        raise Unavailable("no connection to NATS")
    await nats.jetstream().account_info()


@asynccontextmanager
async def _taking(
    settings: RelaySettings,
    mqtt_settings: MqttSettings,
    nats: Client,
    bus: Bus,
    database: Database,
    metrics: Metrics,
    marks: MarkTable,
    dead: DeadLetters,
    tasks: Tasks,
) -> AsyncIterator[Ingest]:
    """Take batches from MQTT and from sources; at the end store and acknowledge what was taken."""
    counts, usage, meters = LineCounts(), Usage(), IntakeMeters.of(metrics)
    places = await restore(nats, database, marks, counts, settings.shards)
    writer = Writer(
        nats,
        shards=settings.shards,
        places=places,
        marks=marks,
        counts=counts,
        usage=usage,
        meters=meters,
    )
    checkpoints = Checkpoints(database, marks, counts, writer.places)
    async with AsyncExitStack() as stack:
        gate = Gate(bus, defaults_of(settings))
        stack.push_async_callback(gate.close)
        # Two clients: each has its own window at the broker, so neither kind waits for the other.
        logs = await stack.enter_async_context(
            Mqtt.connect(mqtt_settings, client="hub-intake", persistent=True)
        )
        samples = await stack.enter_async_context(
            Mqtt.connect(mqtt_settings, client="hub-metrics", persistent=True)
        )
        tasks.start(writer.run())
        tasks.start(checkpoints.run())
        tasks.start(usage.run(bus))
        intakes = {
            mqtt: Intake(
                writer, marks=marks, gate=gate, dead=dead, answer=mqtt.publish, meters=meters
            )
            for mqtt in (logs, samples)
        }
        await logs.subscribe(LOG_TOPICS, intakes[logs].accept)
        logs.unsubscribe(_ONCE_SUBSCRIBED)
        await samples.subscribe(METRIC_TOPICS, intakes[samples].accept)
        try:
            yield Ingest(writer, marks, gate, bus)
        finally:
            try:
                async with asyncio.timeout(_DRAIN):
                    for mqtt, intake in intakes.items():
                        await intake.drain()
                        await mqtt.flush(_DRAIN)
            except TimeoutError:
                _log.warning("not all that was taken could be stored; devices send it again")
            await checkpoints.write()
            await usage.tell(bus)


@asynccontextmanager
async def _delivering(
    settings: RelaySettings,
    nats: Client,
    bus: Bus,
    database: Database,
    vault: Vault,
    plugins: PluginHost,
    metrics: Metrics,
    dead: DeadLetters,
    hosts: HostNames,
    tasks: Tasks,
) -> AsyncIterator[Integrations]:
    integrations = Integrations(
        nats,
        bus,
        Workshop(
            plugins.destinations, database, vault, tools_for, private_hosts=settings.private_hosts
        ),
        settings=settings,
        dead=dead,
        hosts=hosts,
        meters=DeliveryMeters.of(metrics),
    )
    looking = tasks.start(integrations.run())
    tasks.start(integrations.measure())
    try:
        yield integrations
    finally:
        looking.cancel()
        await integrations.stop()


@asynccontextmanager
async def _serving(
    bus: Bus,
    nats: Client,
    marks: MarkTable,
    integrations: Integrations,
    hosts: HostNames,
    shards: int,
) -> AsyncIterator[None]:
    logs = Logs(nats, hosts, shards=shards)
    applying = Tasks()

    async def marks_of(request: MarksOf) -> Marks:
        return Marks(marks.of_device(request.project, request.device))

    async def apply(request: ApplyIntegration) -> Nothing:
        # A stalled destination may need long to end: the caller does not wait for that.
        await asyncio.wait(
            {applying.start(integrations.apply(request.id, request.spec))}, timeout=_APPLY
        )
        return Nothing()

    async def status(request: StatusOf) -> Statuses:
        return Statuses(await integrations.statuses(request.integrations))

    async def integration_changed(_event: IntegrationChanged, _info: EventInfo) -> None:
        integrations.look_soon()

    async def device_changed(event: DeviceChanged, _info: EventInfo) -> None:
        hosts.forget(event.project, event.device)

    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(MARKS, marks_of),
        Endpoint(APPLY_INTEGRATION, apply),
        Endpoint(STATUS, status),
        Endpoint(READ_LOGS, logs.read, concurrency=8),
        StreamEndpoint(TAIL_LOGS, logs.tail),
    ]
    consumers = (
        Consumer(INTEGRATION_CHANGED, "relay-integrations", integration_changed),
        Consumer(DEVICE_CHANGED, "relay-hosts", device_changed),
    )
    async with bus.serve("relay", "1.0.0", endpoints), bus.consume(*consumers):
        integrations.look_soon()
        try:
            yield
        finally:
            await applying.cancel()
