"""The memory that a syslog listener's connections share, and how it is cut for them."""

import asyncio
import contextlib
import random
import tracemalloc
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.protocol import Lines, encode_batch
from hub.relay.ingest import Ingest
from hub.secret import Secret
from hub.telemetry import Metrics
from plugins.syslog_listener.config import Listener
from plugins.syslog_listener.connection import MOST_MESSAGES, _piece, _room
from plugins.syslog_listener.framing import Frame, Framer
from plugins.syslog_listener.limits import Budget
from plugins.syslog_listener.meters import Drops, Meters
from plugins.syslog_listener.sink import Sink
from tests.fixtures.ingest import RecordingIngest

MESSAGES = st.sampled_from(
    [b"a\n", b"\n\n\n", b"1 <", b"5 <13>a", b"<13>a: some text\n", b"\0", b"x" * 300, b" < <"]
)


class Room:
    """Room that is asked for, and held from the time that it is given."""

    def __init__(self, budget: Budget, size: int, project: str) -> None:
        self._leave = asyncio.Event()
        self.has = False
        self.task = asyncio.create_task(self._hold(budget, size, project))

    async def _hold(self, budget: Budget, size: int, project: str) -> None:
        async with budget.room(size, project):
            self.has = True
            await self._leave.wait()

    async def leave(self) -> None:
        """Give it back, or wait for it no longer."""
        self._leave.set()
        if not self.has:
            self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def rooms(budget: Budget, *wanted: tuple[int, str]) -> list[Room]:
    """Ask for room, in this order."""
    made = []
    for size, project in wanted:
        made.append(Room(budget, size, project))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return made


async def test_no_project_is_given_more_than_it_leaves_free() -> None:
    """Half alone, a third beside another that takes all it can; and there is some for a third."""
    budget = Budget(120)
    first = await rooms(budget, *[(10, "a")] * 20)
    assert budget.held("a") == 60
    second = await rooms(budget, *[(10, "b")] * 20)
    assert (budget.held("a"), budget.held("b")) == (60, 30)
    (third,) = await rooms(budget, (10, "c"))
    assert third.has
    for room in (*first, *second, third):
        await room.leave()


async def test_room_is_passed_on_to_whom_it_turns_out_to_be_for() -> None:
    """Unless that project has its share already: it has to wait for it, in its own name."""
    budget = Budget(100)
    async with budget.room(30, "a"), budget.room(20, "") as room:
        assert room.pass_to("b")
        assert (budget.held(""), budget.held("b")) == (0, 20)
        async with budget.room(30, "") as another:
            assert not another.pass_to("a")
            assert another.pass_to("")
            assert budget.held("a") == 30
        assert room.pass_to("a")
        assert budget.held("a") == 50
    assert budget.held("a") == 0


async def test_room_that_is_given_back_goes_to_projects_in_turn() -> None:
    """Not to who asked most often; and the connections of a project are served as they came."""
    budget = Budget(40)
    held = await rooms(budget, (20, "x"), (10, "y"), (10, "z"))
    waiting = await rooms(budget, *[(10, "a")] * 3, (10, "b"))
    assert not any(room.has for room in waiting)
    await held[0].leave()
    await asyncio.sleep(0)
    assert [room.has for room in waiting] == [True, False, False, True]
    for room in (held[1], held[2], waiting[3], waiting[0]):
        await room.leave()
    await asyncio.sleep(0)
    assert [room.has for room in waiting[1:3]] == [True, True]


async def test_who_needs_much_is_not_always_passed_over() -> None:
    """What comes later and needs little waits behind it."""
    budget = Budget(100)
    held = await rooms(budget, (40, "a"), (40, "b"))
    large, small = await rooms(budget, (90, "c"), (10, "d"))
    assert [large.has, small.has] == [False, False]
    for room in held:
        await room.leave()
    await asyncio.sleep(0)
    assert [large.has, small.has] == [True, True]


async def test_more_than_there_is_waits_for_all_of_it() -> None:
    """And not for ever."""
    budget = Budget(10)
    (first,) = await rooms(budget, (4, "a"))
    (second,) = await rooms(budget, (1_000, "b"))
    assert not second.has
    await first.leave()
    await asyncio.sleep(0)
    assert second.has


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_no_byte_is_lost_whoever_gives_up(seed: int) -> None:
    """At the end all of it can be had, and nobody waits that need not."""
    chance = random.Random(seed)

    async def run() -> None:
        budget = Budget(100)
        made: list[Room] = []
        for _ in range(60):
            if made and chance.random() < 0.45:
                await made.pop(chance.randrange(len(made))).leave()
            else:
                made += await rooms(budget, (chance.randint(1, 60), chance.choice("abc")))
            held = {project: budget.held(project) for project in "abc"}
            assert sum(held.values()) <= 100
            assert not made or any(room.has for room in made)
        while made:
            await made.pop(0).leave()
            await asyncio.sleep(0)
            assert not made or any(room.has for room in made)
        (whole,) = await rooms(budget, (100, "d"))
        assert whole.has
        await whole.leave()

    asyncio.run(run())


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=40), st.sampled_from([1, 100, 3_000]))
def test_no_more_messages_end_in_a_piece_than_are_stored_together(
    messages: list[bytes], times: int
) -> None:
    """And the pieces are the whole, in order."""
    data = (b"".join(messages) * times)[: 64 * 1024]
    whole = Framer().feed(data)
    framer, found = Framer(), list[Frame]()
    while data:
        piece = _piece(data)
        frames = framer.feed(piece)
        assert len(frames) <= MOST_MESSAGES + 2
        found += frames
        data = data[len(piece) :]
    assert found == whole


@pytest.mark.parametrize(
    "message",
    [
        b"a\n", b"<13>a: hello\n", "<13>größer 温度 🌡️\n".encode(), b"<13>a: " + b"x" * 500 + b"\n",
        b"<34>1 2003-10-11T22:14:15.003Z web-%d su - ID47 - a line of about ninety bytes\n",
        b"<13>a: " + b"x" * 60_000 + b"\n",
    ],
    ids=["one letter", "short", "beyond US-ASCII", "long", "many hosts", "very long"],
)  # fmt: skip
async def test_the_room_is_what_messages_take(message: bytes) -> None:
    """As bytes, texts, columns, and the batches that they become."""

    batches: list[bytes] = []

    class Encoding(RecordingIngest):
        async def submit(self, *args: object, **more: object) -> None:
            batches.append(encode_batch(cast("Lines", args[3]), boot=1, first=1))

    ingest = Encoding({"t0ken": "prj_mine"})
    metrics = Metrics()
    drops = Drops("in", Meters.of(metrics).dropped)
    listener = Listener("tcp", 1, Secret("t0ken"))
    sink = Sink("in", listener, cast("Ingest", ingest), drops, lambda _: None)
    count = min(MOST_MESSAGES, 64 * 1024 // len(message))
    data = b"".join(message.replace(b"%d", b"%d" % number) for number in range(count))
    data = _piece(data)
    tracemalloc.start()
    try:
        parcel = sink.parcel("peer")
        found = await sink.sort(Framer().feed(data), parcel)
        assert await sink.store(found, parcel, overdraw=False) is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert batches
    assert most < _room(data) + 300_000  # what is there once, such as a compressor
