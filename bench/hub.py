"""The relay alone, or a part of it, with syslog integrations, in a process of its own.

See `bench/parts.py`, which starts it with the name of a file that holds its `Setup`.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop

from hub import telemetry
from hub.contracts import Endpoint
from hub.data_meter import DataMeter
from hub.database import Database
from hub.memory_bus import MemoryBus
from hub.messaging.nats_transport import connect
from hub.plugins import PluginHost
from hub.relay.contracts import (
    DESCRIBE_DEVICES,
    LIST_INTEGRATIONS,
    DescribeDevices,
    DeviceHosts,
    Integrations,
    IntegrationSpec,
    ListIntegrations,
)
from hub.relay.service import delivery, relay
from hub.secret import Secret
from hub.settings import MqttSettings, NatsSettings, PostgresSettings, RelaySettings
from hub.shaping.rules import Shape
from hub.vault import Vault

_ACCOUNT = "acc_bench"
_SINCE = 1_000_000  # µs: the first second of the epoch


class Wanted(msgspec.Struct, frozen=True):
    """A syslog integration: the `number`-th of its project."""

    project: str
    number: int
    config: dict[str, Any]
    shape: dict[str, Any] = {}


class Role(msgspec.Struct, frozen=True):
    """What a process of the hub does.

    Args:
        takes, delivers: batches from devices; lines to destinations.
        part, parts: its share of the integrations.
    """

    name: str = "hub"
    takes: bool = True
    delivers: bool = True
    part: int = 0
    parts: int = 1


class Setup(msgspec.Struct, frozen=True):
    """Where the parts are, and where the lines go."""

    mqtt: tuple[str, int, str, str]
    nats: tuple[str, str, str]
    postgres: tuple[str, int, str, str, str]
    vault_key: bytes
    integrations: list[Wanted]
    role: Role = Role()


async def _listed(
    database: Database, vault: Vault, wanted: Sequence[Wanted]
) -> dict[str, IntegrationSpec]:
    """Seal the configs, which differ by project and name alone, and give the specs."""
    specs = {}
    async with database.system() as tx:
        for one in wanted:
            name = f"int_{one.project.removeprefix('prj_')}{one.number:04d}"
            sealed = await vault.seal(
                tx, json.dumps(one.config).encode(),
                account=_ACCOUNT, project=one.project, name=f"integration/{name}",
            )  # fmt: skip
            specs[name] = IntegrationSpec(
                name, _ACCOUNT, one.project, "syslog", sealed, True, _SINCE, 1,
                msgspec.convert(one.shape, Shape),
            )  # fmt: skip
    return dict(sorted(specs.items()))


async def main(setup: Setup) -> None:
    """Run it until SIGTERM."""
    telemetry.configure(level="warning", format="console")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)

    def orphaned() -> None:
        loop.remove_reader(sys.stdin.fileno())
        ended.set()

    loop.add_reader(sys.stdin.fileno(), orphaned)
    host, port, user, password = setup.mqtt
    mqtt = MqttSettings(host, port, user, Secret(password))
    url, nats_user, nats_password = setup.nats
    role = setup.role
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(
            connect(NatsSettings(url, nats_user, Secret(nats_password)))
        )
        pg_host, pg_port, name, pg_user, pg_password = setup.postgres
        database = await stack.enter_async_context(
            Database.open(PostgresSettings(pg_host, pg_port, name, pg_user, Secret(pg_password)))
        )
        vault = Vault(setup.vault_key)
        specs = await _listed(database, vault, setup.integrations)

        async def listed(request: ListIntegrations) -> Integrations:
            names = [name for name in specs if name > request.after][: request.limit]
            return Integrations([specs[name] for name in names])

        async def described(request: DescribeDevices) -> DeviceHosts:
            return DeviceHosts({device: device for device in request.devices}, {})

        endpoints: list[Endpoint[Any, Any]] = [
            Endpoint(LIST_INTEGRATIONS, listed),
            Endpoint(DESCRIBE_DEVICES, described),
        ]
        bus = MemoryBus()
        await stack.enter_async_context(bus.serve("messages", "1.0.0", endpoints))
        settings = RelaySettings(
            private_hosts=True, max_bytes=8 << 30,
            part=role.part, parts=role.parts, delivers=role.delivers,
        )  # fmt: skip
        shared = (
            nats, bus, database, vault, PluginHost.load(), telemetry.Metrics(), telemetry.Health(),
        )  # fmt: skip
        if role.takes:
            await stack.enter_async_context(relay(settings, mqtt, *shared, DataMeter()))
        else:
            await stack.enter_async_context(delivery(settings, *shared))
        print(json.dumps({"ready": True}), flush=True)
        await ended.wait()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setup)))
