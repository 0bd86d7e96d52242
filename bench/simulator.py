"""Many simulated devices in a process of their own: a part of `bench/fleet.py`.

It takes JSON lines (`register`, `connect`, `counts`) and answers each with one.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import psutil
import uvloop

from bench.device import KEEPALIVE, Counts, Device, Place

AT_ONCE = 200
"""Devices that register at the same time: nobody switches a fleet on in one second."""


class Simulator:
    """All devices."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._devices: list[Device] = []
        self._counts = Counts()
        self._tasks: set[asyncio.Task[None]] = set()

    async def register(self, count: int) -> dict[str, Any]:
        """Have so many devices register; say how long that took."""
        began, free = time.monotonic(), asyncio.Semaphore(AT_ONCE)
        self._devices = [Device(self._place, self._counts) for _ in range(count)]

        async def one(device: Device) -> None:
            async with free:
                await device.register()

        await asyncio.gather(*(one(device) for device in self._devices))
        return {
            "seconds": time.monotonic() - began,
            "devices": [device.id for device in self._devices],
        }

    def connect(self, seconds: float) -> dict[str, Any]:
        """Switch all on, spread over so many seconds."""
        loop = asyncio.get_running_loop()
        for number, device in enumerate(self._devices):
            loop.call_later(seconds * number / len(self._devices), self._start, device)
        self._tasks.add(loop.create_task(self._ping()))
        return {}

    def counts(self) -> dict[str, Any]:
        """Give what happened since the last time, and what this process has used."""
        told = {
            "open": self._counts.open, "connects": self._counts.connects,
            "refused": self._counts.refused, "asked": self._counts.asked,
            "told_to_wait": self._counts.told_to_wait,
            "opened": self._counts.opened, "reported": self._counts.reported,
            "hops": self._counts.hops, "cpu": sum(psutil.Process().cpu_times()[:2]),
        }  # fmt: skip
        self._counts.opened, self._counts.reported, self._counts.hops = [], [], []
        return told

    def _start(self, device: Device) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(device.live()))

    async def _ping(self) -> None:
        while True:
            for number, device in enumerate(self._devices):
                if not number % 100:
                    await asyncio.sleep(KEEPALIVE / 2 / (len(self._devices) / 100 + 1))
                device.ping()


async def main() -> None:
    """Do what is asked, until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    simulator = Simulator(msgspec.json.decode(await reader.readline(), type=Place))
    while line := await reader.readline():
        match json.loads(line):
            case ["register", count]:
                answer = await simulator.register(count)
            case ["connect", seconds]:
                answer = simulator.connect(seconds)
            case ["counts"]:
                answer = simulator.counts()
            case other:
                raise SystemExit(f"not understood: {other}")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
