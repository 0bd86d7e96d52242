"""Devices that send ready-made batches over MQTT: a part of `bench/relay.py`, in its own process.

Batches are encoded once and only renumbered, so that what is measured is the relay. Each device
has a bounded number of batches that are not acknowledged, as the agent has.
"""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import uvloop

from hub.mqtt import Mqtt, MqttMessage
from hub.protocol import Ack, AckMessage, Codec, Lines, Session, encode_batch, renumber
from hub.secret import Secret
from hub.settings import MqttSettings


class Load(msgspec.Struct, frozen=True):
    """What to send.

    Args:
        lines: of a batch; `bytes`: of a line's text.
        sessions: project and session of each device.
        rate: lines a second of all devices together; 0: as much as is acknowledged.
        window: batches of a device that may be unacknowledged.
        timed: the first line of each batch says when it was sent.
    """

    lines: int
    bytes: int
    seconds: float
    codec: str
    port: int = 0
    token: str = ""
    sessions: dict[str, tuple[str, str]] = {}
    rate: int = 0
    window: int = 64
    timed: bool = False


class Device:
    """One device, from its connection to its last acknowledgement."""

    def __init__(self, mqtt: Mqtt, session: Session, load: Load) -> None:
        self._mqtt = mqtt
        self._session = session
        self._load = load
        self._codec = Codec[load.codec.upper()]
        self._payload = self._encode(1, "")
        self._topic = session.log("app")
        self._acked = asyncio.Event()
        self.sent = 0
        self.acked = 0

    async def follow(self) -> None:
        """Listen for acknowledgements."""
        await self._mqtt.subscribe(self._session.ack, self._answer)

    def _answer(self, message: MqttMessage) -> None:
        message.ack()
        answer = msgspec.json.decode(message.payload, type=AckMessage)
        if not isinstance(answer, Ack):
            raise TypeError(f"the hub answers {answer}")
        self.acked = answer.seq
        self._acked.set()

    def _encode(self, first: int, stamp: str) -> bytes:
        count, size = self._load.lines, self._load.bytes
        now = time.time_ns() // 1_000
        texts = [f"{stamp or 'GET /api/v1/things'} {n:08d} 200 17 ms ".ljust(size, "x")
                 for n in range(count)]  # fmt: skip
        lines = Lines([now + n for n in range(count)], 14, "demo", texts)
        return encode_batch(lines, boot=1, first=first, codec=self._codec)

    async def run(self, until: float, interval: float, offset: float) -> None:
        """Send until then, a batch every `interval` seconds, or as fast as they are taken.

        Args:
            offset: seconds after which it begins, so that not all devices send at once.
        """
        count = self._load.lines
        due = time.monotonic() + offset
        while time.monotonic() < until:
            while self.sent - self.acked >= self._load.window * count:
                self._acked.clear()
                async with asyncio.timeout(30):
                    await self._acked.wait()
            if interval:
                due += interval
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            first = self.sent + 1
            if self._load.timed:
                payload = self._encode(first, f"t={time.time_ns()}")
            else:
                payload = renumber(self._payload, boot=1, first=first)
            self.sent += count
            self._mqtt.publish(self._topic, payload)
            if not interval:
                await asyncio.sleep(0)
        while self.acked < self.sent:
            self._acked.clear()
            async with asyncio.timeout(30):
                await self._acked.wait()


async def main(load: Load) -> None:
    """Connect, wait for the sessions, send, and say what was acknowledged."""
    async with AsyncExitStack() as stack:
        devices = []
        for device, (project, session) in load.sessions.items():
            settings = MqttSettings("127.0.0.1", load.port, project, Secret(load.token))
            mqtt = await stack.enter_async_context(Mqtt.connect(settings, client=device))
            devices.append(Device(mqtt, Session(project, device, session), load))
        print(json.dumps({"connected": len(devices)}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(device.follow() for device in devices))
        until = time.monotonic() + load.seconds
        interval = load.lines * len(devices) / load.rate if load.rate else 0.0
        await asyncio.gather(
            *(
                device.run(until, interval, interval * number / len(devices))
                for number, device in enumerate(devices)
            )
        )
        print(json.dumps({"acked": sum(device.acked for device in devices)}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.stdin.readline(), type=Load)))
