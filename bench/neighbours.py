"""Deliveries alone, in a process of its own: a part of `bench/trouble.py`.

Its argument is a JSON object, see `Setup`; each line of its standard input is then the JSON of an
`IntegrationSpec` to take up. It says so by a line, and ends with its input.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop

import plugins.elasticsearch
import plugins.syslog
import plugins.webhook
from hub import telemetry
from hub.contracts import Bus
from hub.database import Database
from hub.errors import Unavailable
from hub.memory import keep_freed_buffers
from hub.messaging.nats_transport import connect
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.relay.contracts import IntegrationSpec
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.meters import DeliveryMeters
from hub.relay.places import Places
from hub.relay.workshop import Workshop
from hub.secret import Secret
from hub.settings import NatsSettings, PostgresSettings, RelaySettings
from hub.vault import Vault


class Setup(msgspec.Struct, frozen=True):
    """Where the parts are."""

    nats: tuple[str, str, str]
    postgres: tuple[str, int, str, str, str]
    vault_key: bytes


class _Nobody:
    """A bus on which nobody knows the names of devices."""

    async def request(self, *_: object, **__: object) -> None:
        raise Unavailable("nobody knows")


async def main(setup: Setup) -> None:
    """Deliver."""
    telemetry.configure(level="error")
    keep_freed_buffers()
    url, user, password = setup.nats
    host, port, name, role, secret = setup.postgres
    bus = cast("Bus", _Nobody())
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(
            connect(NatsSettings(url, user, Secret(password)), name="bench")
        )
        database = await stack.enter_async_context(
            Database.open(PostgresSettings(host, port, name, role, Secret(secret)))
        )
        host_of_plugins = PluginHost.of(
            {
                "webhook": plugins.webhook,
                "syslog": plugins.syslog,
                "elasticsearch": plugins.elasticsearch,
            }
        )
        dead = DeadLetters(nats)
        integrations = Integrations(
            nats,
            bus,
            Workshop(
                host_of_plugins, database, Vault(setup.vault_key), tools_for, private_hosts=True
            ),
            settings=RelaySettings(private_hosts=True),
            dead=dead,
            hosts=HostNames(bus),
            places=Places(database),
            meters=DeliveryMeters.of(telemetry.Metrics()),
        )
        tasks = [
            asyncio.create_task(work)
            for work in (dead.run(), integrations.measure(), integrations.keep())
        ]
        async with host_of_plugins.guard.watching():
            print("ready", flush=True)
            while line := await asyncio.to_thread(sys.stdin.readline):
                spec = msgspec.json.decode(line, type=IntegrationSpec)
                await integrations.apply(spec.id, spec)
                print("taken up", flush=True)
            for task in tasks:
                task.cancel()
            await integrations.stop()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Setup)))
