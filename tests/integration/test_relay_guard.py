"""The relay as a service with a plugin that holds it up: stopped, its integrations broken."""

import secrets
from typing import Any

import msgspec

from hub.data_meter import DataMeter
from hub.destinations import DestinationType
from hub.hookspecs import hookimpl
from hub.plugins import PluginHost
from hub.relay.contracts import APPLY_INTEGRATION, ApplyIntegration
from hub.relay.service import relay
from hub.telemetry import Health
from tests.fixtures.relay import until
from tests.integration.test_relay_service import (
    RecorderConfig,
    World,
    texts,
    world,  # noqa: F401 - the fixture
)


class Spinner:
    """Holds up the hub with every batch."""

    def __init__(self, _config: RecorderConfig, _tools: Any) -> None:
        self.closed = False

    async def send(self, batch: Any) -> None:
        while True:
            self.closed = False

    async def close(self) -> None:
        self.closed = True


class Plugin:
    @hookimpl
    def isaax_destinations(self) -> list[DestinationType[RecorderConfig]]:
        return [DestinationType("spinner", "Spinner", RecorderConfig, Spinner)]


async def test_it_is_stopped_the_third_time_and_the_others_go_on(
    world: World,  # noqa: F811
) -> None:
    host = PluginHost.of({"recorder": world.plugin, "spin": Plugin()})
    running = relay(
        msgspec.structs.replace(world.settings, patience=0.3),
        world.mqtt_settings, world.nats, world.bus, world.database, world.vault,
        host, world.metrics, Health(), DataMeter(),
    )  # fmt: skip
    async with running, world.device(f"dev_{secrets.token_hex(4)}") as device:
        await world.apply("int_good")
        await world.apply("int_bad", type="spinner")
        await device.send(1, 3)

        async def broken() -> bool:
            status = await world.status("int_bad")
            return status is not None and status.state == "broken"

        await until(broken, 60)
        status = await world.status("int_bad")
        assert status is not None
        assert "the plugin spin is disabled: it blocked the hub 3 times" in status.error
        assert host.guard.notes["spin"].blocked == 3
        assert "spinner" not in host.destinations
        await device.send(4, 2)
        await until(lambda: world.texts("int_good") == texts(1, 5))

        # Its lines wait: with another type it goes on where it was.
        await world.bus.request(
            APPLY_INTEGRATION,
            ApplyIntegration(await world.spec("int_bad", type="recorder", revision=2), "int_bad"),
        )
        await until(lambda: world.texts("int_bad") == texts(1, 5))
