"""How much each device sends and is sent: counted where messages pass, told every few seconds.

What counts is an MQTT message's topic and payload. What MQTT, TCP, IP and TLS add to that, and
connections themselves, do not: they are not seen here.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import structlog

from hub.contracts import Bus, Contract, Nothing
from hub.errors import IsaaxError
from hub.relay.admission import day_of

_log = structlog.stdlib.get_logger(__name__)

AT_ONCE: Final = 1_000
"""Devices of one telling, at most."""
_INTERVAL: Final = 10.0  # seconds between two tellings
_FROM: Final = frozenset({"d", "c"})  # d/<project>/<device>/…, and the same with c


class DeviceData(msgspec.Struct, frozen=True):
    """Messages and their bytes on a day (UTC, `2026-11-23`): up from a device, and down to it."""

    device: str
    day: str
    up_messages: int
    up_bytes: int
    down_messages: int
    down_bytes: int


class DataNoted(msgspec.Struct, frozen=True):
    """What a meter counted since the last time.

    Args:
        meter: its id, of this life of its process.
        number: of this telling, from 1 on: the same one may be told again.
        devices: each of them, and each of its days, once.
    """

    meter: str
    number: int
    devices: list[DeviceData]


NOTE_DATA = Contract("devices.data.note", DataNoted, Nothing)


class DataMeter:
    """Counts what passes through this process.

    A process that is killed loses the count of its last seconds. What is told again, because
    nobody knows whether it was heard, has the same number as before, and so counts once.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._number = 0
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._waiting: list[DataNoted] = []
        self._telling = asyncio.Lock()

    def up(self, topic: str, size: int) -> None:
        """Count a message that came from a device; `size` of the payload in bytes."""
        self._note(topic, size, 0)

    def down(self, topic: str, size: int) -> None:
        """Count a message that goes to a device."""
        self._note(topic, size, 2)

    def _note(self, topic: str, size: int, at: int) -> None:
        parts = topic.split("/", 3)
        if parts[0] in _FROM and len(parts) == 4:
            device = parts[2]
        elif parts[0] == "auth" and len(parts) > 2:
            device = parts[1]
        else:
            return
        key = (device, day_of(self._clock()))
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0, 0, 0]
        counts[at] += 1
        counts[at + 1] += len(topic) + size

    async def run(self, bus: Bus) -> None:
        """Tell again and again, until cancelled; that nobody hears it is logged once."""
        heard = True
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self.tell(bus)
                heard = True
            except IsaaxError as error:
                if heard:
                    _log.warning("data usage is told later", reason=error.detail)
                heard = False

    async def tell(self, bus: Bus) -> None:
        """Tell what was counted since the last time.

        Raises:
            IsaaxError: nobody takes it, or nobody knows whether it was taken; it is kept.
        """
        async with self._telling:
            if not self._waiting:
                self._waiting = self._taken()
            while self._waiting:
                await bus.request(NOTE_DATA, self._waiting[0])
                del self._waiting[0]

    def _taken(self) -> list[DataNoted]:
        counts, self._counts = self._counts, {}
        devices = [DeviceData(device, day, *four) for (device, day), four in counts.items()]
        told = []
        for start in range(0, len(devices), AT_ONCE):
            self._number += 1
            told.append(DataNoted(self._id, self._number, devices[start : start + AT_ONCE]))
        return told


@asynccontextmanager
async def data_meter(bus: Bus) -> AsyncIterator[DataMeter]:
    """Count for all of this process that has to do with the broker."""
    meter = DataMeter()
    telling = asyncio.create_task(meter.run(bus), name="data-meter")
    try:
        yield meter
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        with suppress(IsaaxError):  # who adds it up may have ended before us, and has had the rest
            await meter.tell(bus)
