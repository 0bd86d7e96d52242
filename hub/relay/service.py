"""The relay as a service: brought up in an order that loses nothing, and down in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog
from nats.aio.client import Client

from hub.account_data import account_endpoints
from hub.contracts import Bus
from hub.data_meter import DataMeter
from hub.database import Database
from hub.downlink import REPLIES, STATES
from hub.errors import StartError, Unavailable
from hub.memory import collect_seldom, keep_freed_buffers
from hub.mqtt import Mqtt, MqttMessage
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.protocol import MAX_PAYLOAD_BYTES
from hub.relay.checkpoint import Checkpoints, restore
from hub.relay.crew import Crew, Member, is_delivered
from hub.relay.dead_letters import DeadLetters
from hub.relay.erasure import Erasure
from hub.relay.hosts import HostNames
from hub.relay.ingest import Ingest
from hub.relay.ingest_way import IngestWay, serving_ingest
from hub.relay.intake import LOG_TOPICS, METRIC_TOPICS, Intake
from hub.relay.integrations import Integrations
from hub.relay.keeping import Keeping
from hub.relay.lease import Lease, delivery_of
from hub.relay.limits import Gate, defaults_of
from hub.relay.meters import DeliveryMeters, IntakeMeters
from hub.relay.places import Places
from hub.relay.room import AskedRoom
from hub.relay.serving import serving
from hub.relay.share import Share
from hub.relay.streams import check_streams, ensure_streams, keep_streams
from hub.relay.tables import Tables
from hub.relay.tasks import Tasks
from hub.relay.workshop import Workshop
from hub.relay.writer import Writer
from hub.settings import MqttSettings, RelaySettings
from hub.telemetry import Health, Metrics
from hub.vault import Vault

_log = structlog.stdlib.get_logger(__name__)

_HEADERS: Final = 4096  # bytes that a message's headers take at most
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
    meter: DataMeter,
    way: IngestWay | None = None,
) -> AsyncIterator[Ingest]:
    """Run intake and delivery, and serve the relay's contracts; give sources the way in.

    Args:
        way: of sources of this process; those of others come over the bus.

    Raises:
        StartError: JetStream is not what the settings say, or another process delivers this part.
    """
    if nats.max_payload < MAX_PAYLOAD_BYTES + _HEADERS:
        raise StartError(
            f"NATS takes messages of {nats.max_payload} bytes; set its max_payload to "
            f"{MAX_PAYLOAD_BYTES + _HEADERS} or more"
        )
    await ensure_streams(nats.jetstream(), settings)
    keep_freed_buffers()
    collect_seldom()
    workshop = _workshop(settings, database, vault, plugins)
    # Without one of its loops the relay would go on half: whoever supervises us starts us anew.
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        tasks = Tasks(group)
        stack.push_async_callback(tasks.cancel)
        hosts = HostNames(bus)
        stack.push_async_callback(hosts.close)
        kept = Keeping.of(nats, bus, database, metrics, share=settings.project_share)
        await stack.enter_async_context(kept.running(tasks))
        dead, tables = DeadLetters(nats, kept.room), Tables()
        tasks.start(dead.run())
        tasks.start(keep_streams(nats.jetstream(), settings))
        own: Member | None = None
        if settings.delivers:
            own = await stack.enter_async_context(
                _delivering(
                    settings, nats, bus, database, workshop, plugins, metrics, dead, hosts, tasks
                )
            )
        ingest = await stack.enter_async_context(
            _taking(
                settings, mqtt, nats, bus, database, metrics, health, meter, tables, dead, tasks
            )
        )
        crew = Crew(bus, settings.parts, own)
        await stack.enter_async_context(
            serving(
                bus,
                nats,
                metrics,
                tables.marks,
                crew,
                workshop,
                hosts,
                kept,
                tables.usage.recent,
                tasks,
                shards=settings.shards,
            )
        )
        erasure = Erasure(nats, database, tables, crew, hosts, kept, shards=settings.shards)
        await stack.enter_async_context(
            bus.serve("relay-accounts", "1.0.0", account_endpoints("relay", erasure))
        )
        if own is not None:
            await stack.enter_async_context(own.serving(bus))
        await stack.enter_async_context(serving_ingest(bus, ingest))
        if way is not None:
            stack.enter_context(way.leading_to(ingest))
        stack.enter_context(health.add("relay", lambda: check_streams(nats, settings)))
        yield ingest


@asynccontextmanager
async def delivery(
    settings: RelaySettings,
    nats: Client,
    bus: Bus,
    database: Database,
    vault: Vault,
    plugins: PluginHost,
    metrics: Metrics,
    health: Health,
) -> AsyncIterator[None]:
    """Deliver one part of the integrations, in a process beside that of the relay.

    Raises:
        StartError: JetStream is not what the settings say, or another process delivers this part.
    """
    await ensure_streams(nats.jetstream(), settings)
    keep_freed_buffers()
    collect_seldom()
    workshop = _workshop(settings, database, vault, plugins)
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        tasks = Tasks(group)
        stack.push_async_callback(tasks.cancel)
        hosts = HostNames(bus)
        stack.push_async_callback(hosts.close)
        dead = DeadLetters(nats, AskedRoom(bus))
        tasks.start(dead.run())
        own = await stack.enter_async_context(
            _delivering(
                settings, nats, bus, database, workshop, plugins, metrics, dead, hosts, tasks
            )
        )
        await stack.enter_async_context(own.serving(bus))
        stack.enter_context(health.add("delivery", lambda: check_streams(nats, settings)))
        yield


def _workshop(
    settings: RelaySettings, database: Database, vault: Vault, plugins: PluginHost
) -> Workshop:
    return Workshop(
        plugins,
        database,
        vault,
        tools_for,
        private_hosts=settings.private_hosts,
        files=settings.files,
    )


async def _check(writer: Writer) -> None:
    if why := writer.stuck():
        raise Unavailable(why)


@asynccontextmanager
async def _taking(
    settings: RelaySettings,
    mqtt_settings: MqttSettings,
    nats: Client,
    bus: Bus,
    database: Database,
    metrics: Metrics,
    health: Health,
    meter: DataMeter,
    tables: Tables,
    dead: DeadLetters,
    tasks: Tasks,
) -> AsyncIterator[Ingest]:
    """Take batches from MQTT and from sources; at the end store and acknowledge what was taken."""
    marks, counts, usage = tables.marks, tables.counts, tables.usage
    meters = IntakeMeters.of(metrics)
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
        connect = partial(
            Mqtt.connect, mqtt_settings, persistent=True, sent=meter.down, came=meter.up
        )
        logs = await stack.enter_async_context(connect(client="hub-intake"))
        samples = await stack.enter_async_context(connect(client="hub-metrics"))
        tasks.start(writer.run())
        stack.enter_context(health.add("intake", lambda: _check(writer)))
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
        for topics in (STATES, REPLIES):  # only to be counted: of many who hear them, by one
            await samples.subscribe(topics, MqttMessage.ack, qos=0)
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
    workshop: Workshop,
    plugins: PluginHost,
    metrics: Metrics,
    dead: DeadLetters,
    hosts: HostNames,
    tasks: Tasks,
) -> AsyncIterator[Member]:
    share = Share(settings.part, settings.parts)
    lease = Lease(database, delivery_of(share.part), partial(is_delivered, bus, share.part))
    integrations = Integrations(
        nats,
        bus,
        workshop,
        settings=settings,
        share=share,
        dead=dead,
        hosts=hosts,
        places=Places(database),
        meters=DeliveryMeters.of(metrics),
    )
    async with lease.held(tasks), plugins.guard.watching(settings.patience):
        looking = [tasks.start(integrations.run()), tasks.start(integrations.replay())]
        tasks.start(integrations.measure())
        tasks.start(integrations.keep())
        try:
            with plugins.watched(integrations.types_changed):
                yield Member(share, integrations, hosts)
        finally:
            for task in looking:
                task.cancel()
            await integrations.stop()
