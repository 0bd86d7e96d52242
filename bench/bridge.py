"""What a push to devices costs at least: takes from NATS, gives to MQTT, and nothing else.

A part of `bench/fleet.py`, in a process of its own, as the hub is.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop
from nats.aio.msg import Msg

from hub.messaging.nats_transport import connect
from hub.mqtt import Mqtt
from hub.secret import Secret
from hub.settings import MqttSettings, NatsSettings

SUBJECT = "bench.hop"


class Setup(msgspec.Struct, frozen=True):
    """Where the parts are."""

    mqtt: tuple[str, int, str, str]
    nats: tuple[str, str, str]


async def main(setup: Setup) -> None:
    """Pass on until the input ends; the topic is in a header."""
    host, port, user, password = setup.mqtt
    url, name, secret = setup.nats
    mqtt_settings = MqttSettings(host, port, user, Secret(password))
    async with (
        connect(NatsSettings(url, name, Secret(secret))) as nats,
        Mqtt.connect(mqtt_settings, client="hub-bench-bridge") as mqtt,
    ):

        async def pass_on(message: Msg) -> None:
            mqtt.publish((message.headers or {})["topic"], message.data)

        await nats.subscribe(SUBJECT, cb=pass_on)
        await nats.flush()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.stdin.readline(), type=Setup)))
