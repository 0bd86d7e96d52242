"""Plugins that hold up the hub or leave tasks behind: named and stopped; others go on."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from hub.batches import Batch
from hub.guard import STRIKES, Interrupted, Notes, PluginGuard, fence, running
from hub.relay.push import Failed, Taken, push
from hub.testing import make_batch
from tests.deadline import until
from tests.fixtures.relay import Bench, Recorder

LIMIT = 0.3


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing."""


class Well:
    """Behaves."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, batch: Batch) -> None:
        self.texts += [line.message for line in batch]

    async def close(self) -> None:
        """Nothing is held."""


class Sleeps(Well):
    async def send(self, batch: Batch) -> None:
        time.sleep(30)  # noqa: ASYNC251 - that is the point


class Spins(Well):
    async def send(self, batch: Batch) -> None:
        while True:
            pass


class Swallows(Well):
    async def send(self, batch: Batch) -> None:
        while True:
            with suppress(Exception):
                time.sleep(30)  # noqa: ASYNC251


class InATask(Well):
    async def send(self, batch: Batch) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(Spins().send(batch))


class Regex(Well):
    """Backtracks in C for very long; `re` looks at signals."""

    async def send(self, batch: Batch) -> None:
        re.match(r"(a+)+$", "a" * 40 + "b")


class Leaks(Well):
    async def send(self, batch: Batch) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))


class Owner:
    """A guard, and what it stopped."""

    def __init__(self) -> None:
        self.stopped: list[str] = []
        self.guard = PluginGuard(lambda name, _why: self.stopped.append(name), limit=LIMIT)

    @asynccontextmanager
    async def of(self, kind: Callable[[], Any], name: str = "bad") -> AsyncIterator[Any]:
        async with self.guard.owning("int_one", name) as owner:
            yield fence(kind, owner)

    @property
    def blocked(self) -> int:
        return self.guard.notes.get("bad", Notes()).blocked

    @property
    def notes(self) -> Notes:
        return self.guard.notes["bad"]


@pytest.fixture
async def hub() -> AsyncIterator[Owner]:
    owner = Owner()
    async with owner.guard.watching():
        yield owner


@pytest.mark.parametrize("kind", [Sleeps, Spins, Swallows, InATask, Regex])
async def test_what_blocks_the_loop_is_interrupted_and_named(hub: Owner, kind: type[Well]) -> None:
    with capture_logs() as logs:
        async with hub.of(kind) as bad, hub.of(Well, "good") as good:
            others = asyncio.create_task(push(good, make_batch("one"), 5.0))
            outcome = await push(bad, make_batch("x"), 60.0)
            assert isinstance(outcome, Failed)
            assert outcome.broken
            assert "the plugin bad" in outcome.reason
            assert "held up the hub" in outcome.reason
            assert await others == Taken()
            await until(lambda: "bad" in hub.guard.notes, what="it to be named")
    assert hub.notes.blocked == 1
    assert "it blocked the hub for" in hub.notes.last
    (told,) = [entry for entry in logs if entry["event"] == "the plugin bad blocked the hub"]
    assert (told["plugin"], told["integration"]) == ("bad", "int_one")
    assert "in send" in told["stack"]
    assert not hub.stopped


async def test_a_call_into_c_that_cannot_be_interrupted_is_named(hub: Owner) -> None:
    """It holds the interpreter's lock and looks at no signal: it is known when it ends."""

    class Sums(Well):
        async def send(self, batch: Batch) -> None:
            began = time.thread_time()
            while time.thread_time() - began < LIMIT * 2:  # one call is long, whatever the machine
                sum(range(60_000_000))

    async with hub.of(Sums) as bad:
        await push(bad, make_batch("x"), 60.0)
    await until(lambda: "bad" in hub.guard.notes, what="it to be named")
    assert hub.notes.blocked == 1


async def test_the_third_time_it_is_stopped(hub: Owner) -> None:
    async with hub.of(Spins) as bad:
        for number in range(1, STRIKES + 1):
            assert not hub.stopped
            await push(bad, make_batch("x"), 60.0)
            await until(lambda n=number: hub.blocked == n, what="it to be counted")
    assert hub.stopped == ["bad"]


async def test_building_may_not_block_either(hub: Owner) -> None:
    def build() -> Well:
        time.sleep(30)
        return Well()

    with pytest.raises(Interrupted, match="held up the hub"):
        async with hub.of(build):
            pass
    assert running.get() is None


async def test_the_hubs_own_long_work_is_told_and_goes_on(hub: Owner) -> None:
    with capture_logs() as logs:
        time.sleep(LIMIT * 3)  # noqa: ASYNC251
        await until(lambda: bool(logs), what="it to be told")
    assert logs[0]["event"] == "the hub held itself up"
    assert "test_the_hubs_own_long_work" in logs[0]["stack"]
    assert not hub.guard.notes


async def test_many_short_steps_accuse_nobody(hub: Owner) -> None:
    """Each is short; together they delay the heartbeat."""

    class Short(Well):
        async def send(self, batch: Batch) -> None:
            time.sleep(LIMIT / 10)  # noqa: ASYNC251
            self.texts += ["taken"]

    async with hub.of(Short) as destination:
        outcomes = await asyncio.gather(
            *(push(destination, make_batch("x"), 60.0) for _ in range(40))
        )
    assert outcomes == [Taken()] * 40
    assert not hub.guard.notes


async def test_tasks_that_are_left_behind_are_ended_and_named(hub: Owner) -> None:
    with capture_logs() as logs:
        made: list[Leaks] = []

        def build() -> Leaks:
            made.append(Leaks())
            return made[0]

        async with hub.of(build) as bad:
            assert await push(bad, make_batch("x"), 5.0) == Taken()
            assert not made[0].task.done()
            await bad.close()
    assert made[0].task.cancelled()
    assert hub.notes.leaked == 1
    (told,) = [entry for entry in logs if entry["event"] == "the plugin bad left tasks behind"]
    assert told["tasks"] == ["sleep"]


async def test_what_it_ends_itself_is_not_held_against_it(hub: Owner) -> None:
    class Tidy(Leaks):
        async def close(self) -> None:
            self.task.cancel()

    async with hub.of(Tidy) as tidy:
        await push(tidy, make_batch("x"), 5.0)
        await tidy.close()
    assert not hub.guard.notes


async def test_tasks_of_the_hub_are_nobodys(hub: Owner) -> None:
    mine = asyncio.create_task(asyncio.sleep(3600))
    async with hub.of(Well) as well:
        await push(well, make_batch("x"), 5.0)
    assert not mine.done()
    assert not hub.guard.notes
    mine.cancel()


class Guarded(Recorder):
    """A destination of a real delivery, made as the relay makes it."""

    def __init__(self, hub: Owner, kind: Callable[[], Any], name: str) -> None:
        super().__init__()
        self._make = lambda: hub.of(kind, name)

    @asynccontextmanager
    async def build(self) -> AsyncIterator[Any]:
        self.built += 1
        async with self._make() as destination:
            yield destination


async def test_in_a_real_relay_the_others_lines_go_on(hub: Owner, bench: Bench) -> None:
    """One destination spins at every batch; another one on the same stream misses nothing."""
    good, bad = Recorder(), Guarded(hub, Spins, "bad")
    for number in range(4):
        await bench.store(1 + 100 * number, 100)
    bench.start(bench.delivery(good, "int_good").run())
    spinning = bench.delivery(bad, "int_bad")
    bench.start(spinning.run())
    await until(lambda: hub.stopped == ["bad"], what="it to be stopped", timeout=60)
    await bench.store(401, 100)
    await until(lambda: len(good.texts) == 500, what="all lines", timeout=60)
    assert good.texts == [f"line {number}" for number in range(1, 501)]
    assert bad.built > 1
    spinning.stop()
