"""The relay alone, with one syslog integration: a part of `bench/relay.py`, in its own process."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop

from hub import telemetry
from hub.contracts import Endpoint
from hub.database import Database
from hub.memory import keep_freed_buffers
from hub.memory_bus import MemoryBus
from hub.messaging.nats_transport import connect
from hub.plugins import PluginHost
from hub.relay.contracts import LIST_INTEGRATIONS, Integrations, IntegrationSpec, ListIntegrations
from hub.relay.service import relay
from hub.secret import Secret
from hub.settings import MqttSettings, NatsSettings, PostgresSettings, RelaySettings
from hub.vault import Vault


class Setup(msgspec.Struct, frozen=True):
    """Where the parts are, and where the lines go; `config` is a syslog integration's."""

    project: str
    mqtt: tuple[str, int, str, str]
    nats: tuple[str, str, str]
    postgres: tuple[str, int, str, str, str]
    config: dict[str, object]


async def main(setup: Setup) -> None:
    """Run the relay until SIGTERM."""
    telemetry.configure(level="warning", format="console")
    keep_freed_buffers()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    host, port, user, password = setup.mqtt
    mqtt = MqttSettings(host, port, user, Secret(password))
    url, nats_user, nats_password = setup.nats
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(
            connect(NatsSettings(url, nats_user, Secret(nats_password)))
        )
        pg_host, pg_port, name, role, pg_password = setup.postgres
        database = await stack.enter_async_context(
            Database.open(PostgresSettings(pg_host, pg_port, name, role, Secret(pg_password)))
        )
        vault = Vault(os.urandom(32))
        async with database.transaction() as tx:
            sealed = await vault.seal(
                tx, json.dumps(setup.config).encode(),
                account="acc_bench", project=setup.project, name="integration/int_bench",
            )  # fmt: skip
        spec = IntegrationSpec(
            "int_bench", "acc_bench", setup.project, "syslog", sealed, True, 1_000_000, 1
        )

        async def listed(_request: ListIntegrations) -> Integrations:
            return Integrations([spec])

        bus = MemoryBus()
        await stack.enter_async_context(
            bus.serve("messages", "1.0.0", [Endpoint(LIST_INTEGRATIONS, listed)])
        )
        await stack.enter_async_context(
            relay(
                RelaySettings(private_hosts=True, max_bytes=8 << 30),
                mqtt,
                nats,
                bus,
                database,
                vault,
                PluginHost.load(),
                telemetry.Metrics(),
                telemetry.Health(),
            )
        )
        print(json.dumps({"ready": True}), flush=True)
        await ended.wait()


uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Setup)))
