"""The parts of the core that services ask for by their types: each starts when one is asked for.

Every part that talks to a server waits for it, however long that takes, and adds a health check
that does a small piece of its real work: a write that is on disk when the check passes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from hub.audit.log import Audit, Recorder
from hub.bus import NatsBus
from hub.contracts import Bus
from hub.data_meter import DataMeter, data_meter
from hub.database import Database, Queries
from hub.downlink import Downlink, new_client
from hub.errors import Unavailable
from hub.leftovers import Leftovers, leftovers
from hub.mail.postbox import Postbox
from hub.messaging.jetstream import ensure_stream
from hub.messaging.nats_transport import connect
from hub.migrations import migrate
from hub.mqtt import Mqtt
from hub.outbox import Outbox, OutboxRelay
from hub.plugins import PluginHost
from hub.relay.hearing import LineFeed, line_feed
from hub.relay.ingest import Ingest
from hub.relay.ingest_way import IngestWay, ingest, ingest_way
from hub.relay.samples import MetricFeed, metric_feed
from hub.services import Service, switched_off
from hub.settings import (
    HubSettings,
    MqttSettings,
    NatsSettings,
    PostgresSettings,
    RelaySettings,
    VaultSettings,
)
from hub.telemetry import Health, Metrics
from hub.vault import Vault

T = TypeVar("T")

_log = structlog.stdlib.get_logger(__name__)

CANARY_STREAM: Final = "CANARY"
_CANARY_TIMEOUT: Final = 2.0
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0


@asynccontextmanager
async def database(
    settings: PostgresSettings, hub: HubSettings, plugins: PluginHost, health: Health
) -> AsyncIterator[Database]:
    """Bring the tables up to date, and open the pool."""
    sql = Queries.load("hub.sql", "canary.sql")
    applied = await _patiently("PostgreSQL", lambda: migrate(settings, plugins.migrations))
    _log.info("migrations", applied=applied)
    async with AsyncExitStack() as stack:
        pool = await _patiently(
            "PostgreSQL", lambda: stack.enter_async_context(Database.open(settings))
        )

        async def write() -> None:
            async with pool.system() as tx:
                await tx.run(sql["touch"], hub=hub.name)

        stack.enter_context(health.add("postgres", write))
        yield pool


@asynccontextmanager
async def nats_client(
    settings: NatsSettings, hub: HubSettings, relay: RelaySettings, health: Health
) -> AsyncIterator[Client]:
    """Connect to NATS, and see that JetStream stores."""
    canary = StreamConfig(
        name=CANARY_STREAM,
        subjects=["canary.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_msgs_per_subject=1,
        num_replicas=relay.replicas,
    )
    async with AsyncExitStack() as stack:
        client = await _patiently(
            "NATS", lambda: stack.enter_async_context(connect(settings, name=hub.name))
        )
        stream = client.jetstream(timeout=_CANARY_TIMEOUT)
        await _patiently("JetStream", lambda: ensure_stream(stream, canary))

        async def store() -> None:
            try:
                await stream.publish("canary.write", b"")
            except nats.errors.Error as error:
                raise Unavailable(f"JetStream does not store: {type(error).__name__}") from None

        stack.enter_context(health.add("jetstream", store))
        yield client


@asynccontextmanager
async def bus(
    client: Client,
    relay: RelaySettings,
    hub: HubSettings,
    plugins: PluginHost,
    metrics: Metrics,
) -> AsyncIterator[NatsBus]:
    """Open the bus, and make the streams that its events live in."""
    off = switched_off(hub, plugins.services)
    yield await _patiently(
        "JetStream",
        lambda: NatsBus.start(client, replicas=relay.replicas, metrics=metrics, absent=off),
    )


@asynccontextmanager
async def outbox(client: Client, pool: Database, metrics: Metrics) -> AsyncIterator[Outbox]:
    """Open the outbox; one hub at a time leads and publishes what is in it."""
    box = Outbox(client)
    async with OutboxRelay(pool, client, box, metrics=metrics).run():
        yield box


@asynccontextmanager
async def vault(settings: VaultSettings) -> AsyncIterator[Vault]:
    """Read the keys that protect secrets."""
    yield Vault.open_keys(settings)


@asynccontextmanager
async def postbox(box: Outbox, vault: Vault) -> AsyncIterator[Postbox]:
    """Take mails into the outbox, sealed."""
    yield Postbox(box, vault)


@asynccontextmanager
async def recorder(pool: Database, metrics: Metrics) -> AsyncIterator[Recorder]:
    """Open the audit log; one hub at a time leads and chains what was told."""
    async with Recorder.open(pool, metrics) as log:
        yield log


@asynccontextmanager
async def audit(log: Recorder) -> AsyncIterator[Audit]:
    """Give services the audit log's face."""
    yield log


@asynccontextmanager
async def downlink(settings: MqttSettings, meter: DataMeter) -> AsyncIterator[Downlink]:
    """Connect to the broker, for what goes down to devices."""
    async with AsyncExitStack() as stack:
        mqtt = await _patiently(
            "the MQTT broker",
            lambda: stack.enter_async_context(
                Mqtt.connect(settings, client=new_client(), sent=meter.down)
            ),
        )
        yield Downlink(mqtt)


PARTS: Final = (
    Service("database", database, provides=Database),
    Service("nats", nats_client, provides=Client),
    Service("bus", bus, provides=Bus),
    Service("outbox", outbox, provides=Outbox),
    Service("vault", vault, provides=Vault),
    Service("postbox", postbox, provides=Postbox),
    Service("recorder", recorder, provides=Recorder),
    Service("audit-log", audit, provides=Audit),
    Service("leftovers", leftovers, provides=Leftovers),
    Service("data-meter", data_meter, provides=DataMeter),
    Service("downlink", downlink, provides=Downlink),
    Service("metric-feed", metric_feed, provides=MetricFeed),
    Service("line-feed", line_feed, provides=LineFeed),
    Service("ingest-way", ingest_way, provides=IngestWay),
    Service("ingest", ingest, provides=Ingest),
)
"""What `hub.registry.run` starts when it is asked for."""


async def _patiently(server: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until the server answers: whoever starts all of them need not mind the order."""
    wait = _FIRST_WAIT
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            _log.warning("waiting", server=server, reason=error.detail)
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
