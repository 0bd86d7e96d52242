"""Streams, over NATS and in memory: the same promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from hub.contracts import Contract, StreamEndpoint
from hub.errors import DeadlineExceeded, Forbidden, Invalid, IsaaxError, Unavailable
from hub.messaging.streams import WINDOW
from hub.telemetry import current_trace, with_traceparent
from tests.deadline import until
from tests.fixtures.bus import AnyBus


class Count(msgspec.Struct, frozen=True):
    to: int


class Number(msgspec.Struct, frozen=True):
    value: int


def contract(name: str, timeout: float = 5.0) -> Contract[Count, Number]:
    return Contract(f"{name}.count", Count, Number, timeout=timeout)


class Source:
    """A generator that tells what became of it."""

    def __init__(self, after: Callable[[], None] = lambda: None, *, forever: bool = False) -> None:
        self.given = 0
        self.ended = asyncio.Event()
        self._after = after
        self._forever = forever

    async def __call__(self, request: Count) -> AsyncIterator[Number]:
        try:
            for value in range(request.to):
                self.given += 1
                yield Number(value)
            self._after()
            if self._forever:
                await asyncio.Event().wait()
        finally:
            self.ended.set()


def serve(bus: AnyBus, name: str, handler: Any, **more: Any) -> Any:
    return bus.serve(name, "1.0.0", [StreamEndpoint(contract(name), handler, **more)])


async def collect(stream: AsyncIterator[Number], values: list[int]) -> None:
    async for item in stream:
        values.append(item.value)  # noqa: PERF401 - what came before an error counts


async def test_all_items_in_order(any_bus: AnyBus, unique: str) -> None:
    source = Source()
    async with serve(any_bus, unique, source):
        values = [item.value async for item in any_bus.stream(contract(unique), Count(1000))]
        await source.ended.wait()
    assert values == list(range(1000))


async def test_none_at_all(any_bus: AnyBus, unique: str) -> None:
    async with serve(any_bus, unique, Source()):
        assert [item async for item in any_bus.stream(contract(unique), Count(0))] == []


async def test_nobody_serves_it(any_bus: AnyBus, unique: str) -> None:
    with pytest.raises(Unavailable, match="nobody serves"):
        async for _ in any_bus.stream(contract(unique), Count(1)):
            pass


async def test_an_error_ends_it_as_itself(any_bus: AnyBus, unique: str) -> None:
    def refuse() -> None:
        raise Forbidden("only three")

    values: list[int] = []
    async with serve(any_bus, unique, Source(refuse)):
        stream = any_bus.stream(contract(unique), Count(3))
        with pytest.raises(Forbidden, match="only three"):
            await collect(stream, values)
    assert values == [0, 1, 2]


async def test_a_mistake_does_not_leak(any_bus: AnyBus, unique: str) -> None:
    def fail() -> None:
        raise RuntimeError("hunter2")

    async with serve(any_bus, unique, Source(fail)):
        with pytest.raises(IsaaxError, match="reference") as caught:
            async for _ in any_bus.stream(contract(unique), Count(0)):
                pass
    assert "hunter2" not in str(caught.value)


async def test_a_malformed_request_is_refused(any_bus: AnyBus, unique: str) -> None:
    other = Contract(f"{unique}.count", Number, Number)
    async with serve(any_bus, unique, Source()):
        with pytest.raises(Invalid):
            async for _ in any_bus.stream(other, Number(1)):
                pass


async def test_closing_cancels_the_generator(any_bus: AnyBus, unique: str) -> None:
    source = Source(forever=True)
    async with serve(any_bus, unique, source):
        async with aclosing(any_bus.stream(contract(unique), Count(2))) as stream:  # type: ignore[type-var]
            assert (await anext(stream)).value == 0
        async with asyncio.timeout(10):
            await source.ended.wait()


async def test_a_caller_that_reads_nothing_pauses_the_generator(
    any_bus: AnyBus, unique: str
) -> None:
    source = Source()
    async with serve(any_bus, unique, source):
        stream = any_bus.stream(contract(unique), Count(1000))
        first = await anext(stream)
        await until(lambda: source.given > WINDOW)
        # Longer than a silence: both sides are alive, nothing is thrown away.
        await asyncio.sleep(0.7)
        assert source.given <= 2 * WINDOW + 1
        rest = [item.value async for item in stream]
    assert [first.value, *rest] == list(range(1000))


async def test_a_vanished_caller_cancels_the_generator(any_bus: AnyBus, unique: str) -> None:
    source = Source(forever=True)
    async with serve(any_bus, unique, source):
        stream = any_bus.stream(contract(unique), Count(1))
        await anext(stream)
        # As a caller that was killed: nothing is said any more, not even goodbye.
        for task in asyncio.all_tasks():
            if "_Reader.beat" in repr(task.get_coro()):
                task.cancel()
        async with asyncio.timeout(10):
            await source.ended.wait()
        with contextlib.suppress(IsaaxError):
            await anext(stream)


async def test_the_end_of_the_service_ends_it(any_bus: AnyBus, unique: str) -> None:
    source = Source(forever=True)
    async with serve(any_bus, unique, source):
        stream = any_bus.stream(contract(unique), Count(1))
        assert (await anext(stream)).value == 0
    with pytest.raises(Unavailable, match="is stopping"):
        await anext(stream)
    assert source.ended.is_set()


async def test_an_idle_stream_stays_open(any_bus: AnyBus, unique: str) -> None:
    go_on = asyncio.Event()

    async def handler(request: Count) -> AsyncIterator[Number]:
        yield Number(1)
        await go_on.wait()
        yield Number(2)

    async with serve(any_bus, unique, handler):
        stream = any_bus.stream(contract(unique), Count(2))
        await anext(stream)
        coming = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.7)  # longer than a silence
        assert not coming.done()
        go_on.set()
        assert (await coming).value == 2
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_too_many_at_once(any_bus: AnyBus, unique: str) -> None:
    source = Source(forever=True)
    async with serve(any_bus, unique, source, concurrency=1):
        open_stream = any_bus.stream(contract(unique), Count(1))
        await anext(open_stream)
        waiting = Contract(f"{unique}.count", Count, Number, timeout=0.2)
        with pytest.raises(DeadlineExceeded):
            await anext(any_bus.stream(waiting, Count(1)))
        await open_stream.aclose()  # type: ignore[attr-defined]


async def test_the_trace_goes_along(any_bus: AnyBus, unique: str) -> None:
    seen: list[str] = []

    async def handler(request: Count) -> AsyncIterator[Number]:
        trace = current_trace()
        seen.append(trace.trace_id if trace else "")
        yield Number(1)

    async with serve(any_bus, unique, handler):
        with with_traceparent(None) as trace:
            assert [item.value async for item in any_bus.stream(contract(unique), Count(1))] == [1]
    assert seen == [trace.trace_id]
