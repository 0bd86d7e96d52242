"""Delivers, in a process that a test may kill: `python -m tests.programs.relay_worker ORDERS`

The orders are a JSON object, see `Orders`. It prints a line once it delivers, and goes on until
its standard input ends or it is killed.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, cast

import msgspec

import plugins.elasticsearch
import plugins.webhook
from hub.contracts import Bus
from hub.database import Database
from hub.destinations import DestinationType
from hub.errors import Unavailable
from hub.hookspecs import hookimpl
from hub.messaging.nats_transport import connect
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.relay.contracts import IntegrationSpec, SomeDead
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.keeping import Keeping
from hub.relay.meters import DeliveryMeters
from hub.relay.places import Places
from hub.relay.replays import Replays
from hub.relay.workshop import Workshop
from hub.secret import Secret
from hub.settings import NatsSettings, PostgresSettings, RelaySettings
from hub.telemetry import Metrics
from hub.vault import Vault


class Orders(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        nats, postgres: how to reach them, as their settings take it.
        spec: of the one integration, sealed with a key of zeros.
        replay: its dead letters are put into its replay, too.
        linger: seconds that a batch of it waits to be full.
    """

    nats: tuple[str, str, str]
    postgres: tuple[str, int, str, str, str]
    spec: IntegrationSpec
    replay: bool = False
    linger: float = 0.0


class _Types:
    def __init__(self, linger: float) -> None:
        self._linger = linger

    @hookimpl
    def isaax_destinations(self) -> list[DestinationType[Any]]:
        shipped: list[DestinationType[Any]] = [
            *plugins.webhook.isaax_destinations(),
            *plugins.elasticsearch.isaax_destinations(),
        ]
        return [replace(each, limits=self._limits(each)) for each in shipped]

    def _limits(self, kind: DestinationType[Any]) -> Any:
        return lambda config: replace(kind.limits_of(config), linger=self._linger)


class _Nobody:
    async def request(self, *_: object, **__: object) -> None:
        raise Unavailable("nobody knows")


async def main(orders: Orders) -> None:
    """Deliver."""
    url, user, password = orders.nats
    host, port, name, role, secret = orders.postgres
    bus = cast("Bus", _Nobody())
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(
            connect(NatsSettings(url, user, Secret(password)), name="worker")
        )
        database = await stack.enter_async_context(
            Database.open(PostgresSettings(host, port, name, role, Secret(secret)))
        )
        dead, hosts = DeadLetters(nats), HostNames(bus)
        integrations = Integrations(
            nats,
            bus,
            Workshop(
                PluginHost.of({"types": _Types(orders.linger)}),
                database,
                Vault(bytes(32)),
                tools_for,
                private_hosts=True,
            ),
            settings=RelaySettings(max_bytes=1 << 30),
            dead=dead,
            hosts=hosts,
            places=Places(database),
            meters=DeliveryMeters.of(Metrics()),
        )
        kept = Keeping.of(nats, bus, database, Metrics(), share=1.0)
        replays = Replays(nats, kept, replayed=integrations.replay_soon)
        tasks = [
            asyncio.create_task(work)
            for work in (
                dead.run(),
                replays.run(),
                integrations.replay(),
                integrations.keep(),
                kept.dead.run(),
                kept.replays.run(),
            )
        ]
        await integrations.apply(orders.spec.id, orders.spec)
        print("delivers", flush=True)
        if orders.replay:
            await kept.dead.ready.wait()
            await replays.replay(SomeDead(orders.spec.project, orders.spec.id))
        await asyncio.to_thread(sys.stdin.read)
        await integrations.stop()
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Orders)))
