"""How much devices send and are sent: counted by device and day, and told to count once."""

import msgspec
import pytest

from hub.contracts import Endpoint, Nothing
from hub.data_meter import AT_ONCE, NOTE_DATA, DataMeter, DataNoted, DeviceData
from hub.errors import IsaaxError, Unavailable
from hub.memory_bus import MemoryBus

NOON = 1_795_435_200.0
"""2026-11-23T12:00:00Z."""


class Clock:
    """A clock of the test's own."""

    now = NOON

    def __call__(self) -> float:
        return self.now


class Heard:
    """Who adds it up: it can fail before it has, or after."""

    def __init__(self) -> None:
        self.told: list[DataNoted] = []
        self.fails = ""

    async def note(self, request: DataNoted) -> Nothing:
        if self.fails == "before":
            raise Unavailable("not now")
        self.told.append(request)
        if self.fails == "after":
            raise Unavailable("nobody knows")
        return Nothing()


async def test_messages_count_by_device_and_day() -> None:
    """Their topics and payloads: of sessions, and of the door; of nothing else."""
    clock, heard, bus = Clock(), Heard(), MemoryBus()
    meter = DataMeter(clock=clock)
    meter.up("d/prj_1/dev_1/s1/log/app", 100)
    meter.up("d/prj_1/dev_1/s1/state", 10)
    meter.down("c/prj_1/dev_1/s1/ack", 20)
    meter.up("auth/dev_2/up", 5)
    meter.down("auth/dev_2/down", 7)
    for topic in ("isaax/broker/status", "d/prj_1/dev_1", "auth", ""):
        meter.up(topic, 1_000)
    clock.now += 86_400
    meter.up("d/prj_1/dev_1/s1/log/app", 1)
    async with bus.serve("devices", "1.0.0", [Endpoint(NOTE_DATA, heard.note)]):
        await meter.tell(bus)
        await meter.tell(bus)
    (told,) = heard.told
    assert told.devices == [
        DeviceData("dev_1", "2026-11-23", 2, 24 + 100 + 22 + 10, 1, 20 + 20),
        DeviceData("dev_2", "2026-11-23", 1, 13 + 5, 1, 15 + 7),
        DeviceData("dev_1", "2026-11-24", 1, 24 + 1, 0, 0),
    ]


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_what_may_have_been_heard_is_told_again_as_it_was(fails: str) -> None:
    """With the same number, and without what came meanwhile, which is told by itself."""
    heard, bus = Heard(), MemoryBus()
    meter = DataMeter()
    async with bus.serve("devices", "1.0.0", [Endpoint(NOTE_DATA, heard.note)]):
        meter.up("d/p/dev_1/s/log/app", 1)
        heard.fails = fails
        for _ in range(2):
            with pytest.raises(IsaaxError):
                await meter.tell(bus)
            meter.up("d/p/dev_1/s/log/app", 1)
        heard.fails = ""
        await meter.tell(bus)
        await meter.tell(bus)
    assert len(heard.told) == (2 if fails == "before" else 4)
    told = {one.number: msgspec.json.encode(one) for one in heard.told}
    assert all(told[one.number] == msgspec.json.encode(one) for one in heard.told)
    assert sorted(told) == [1, 2]


async def test_many_devices_are_told_by_parts() -> None:
    heard, bus = Heard(), MemoryBus()
    meter = DataMeter()
    for number in range(2 * AT_ONCE + 1):
        meter.up(f"d/p/dev_{number}/s/log/app", 1)
    async with bus.serve("devices", "1.0.0", [Endpoint(NOTE_DATA, heard.note)]):
        await meter.tell(bus)
    assert [(one.number, len(one.devices)) for one in heard.told] == [
        (1, AT_ONCE), (2, AT_ONCE), (3, 1),
    ]  # fmt: skip
