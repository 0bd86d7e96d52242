"""Requests, over NATS and in memory: the same promises."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from hub.contracts import Contract, Endpoint
from hub.errors import (
    Conflict,
    DeadlineExceeded,
    FieldError,
    Invalid,
    IsaaxError,
    LimitReached,
    NotFound,
    TooLarge,
    Unavailable,
)
from hub.messaging import wire
from hub.scope import hidden_projects, hiding
from hub.secret import Secret
from hub.telemetry import Metrics, current_trace, with_traceparent
from tests.deadline import until
from tests.fixtures.bus import AnyBus, as_bus


class Ask(msgspec.Struct, frozen=True):
    text: str
    secret: Secret = Secret("")


class Answer(msgspec.Struct, frozen=True):
    text: str


def contract(name: str, timeout: float = 5.0) -> Contract[Ask, Answer]:
    return Contract(f"{name}.ask", Ask, Answer, timeout=timeout)


async def test_an_answer_comes_back(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(ask.text.upper() + ask.secret.reveal())

    bus = as_bus(any_bus)
    async with bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        answer = await bus.request(contract(unique), Ask("grüße ", Secret("s3")))
    assert answer == Answer("GRÜSSE s3")


async def test_nobody_serves_it(any_bus: AnyBus, unique: str) -> None:
    with pytest.raises(Unavailable, match="nobody serves"):
        await any_bus.request(contract(unique), Ask("x"))


async def test_nobody_serves_it_any_more(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(ask.text)

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        await any_bus.request(contract(unique), Ask("x"))
    with pytest.raises(Unavailable, match="nobody serves"):
        await any_bus.request(contract(unique), Ask("x"))


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no such project"),
        Conflict("taken"),
        LimitReached("10 of 10", retry_after=12.5),
        DeadlineExceeded("inner"),
        Unavailable("busy\nwith two lines"),
        Invalid("two fields", errors=[FieldError("/a", "is required"), FieldError("", "é")]),
    ],
    ids=lambda error: error.code,
)
async def test_an_error_comes_back_as_itself(
    any_bus: AnyBus, unique: str, error: IsaaxError
) -> None:
    async def handler(ask: Ask) -> Answer:
        raise error

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(IsaaxError) as caught:
            await any_bus.request(contract(unique), Ask("x"))
    assert type(caught.value) is type(error)
    assert (caught.value.detail, caught.value.errors) == (error.detail, error.errors)
    assert caught.value.retry_after == error.retry_after


async def test_a_mistake_does_not_leak(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        raise RuntimeError(f"password is {ask.text}")

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(IsaaxError, match=r"reference [0-9a-f]{12}") as caught:
            await any_bus.request(contract(unique), Ask("hunter2"))
    assert caught.value.code == "internal"
    assert "hunter2" not in str(caught.value)


async def test_a_cancelled_part_is_a_mistake_too(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        raise asyncio.CancelledError

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(IsaaxError, match="reference"):
            await any_bus.request(contract(unique), Ask("x"))


async def test_a_wrong_answer_is_a_mistake(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        return ask  # type: ignore[return-value]

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(IsaaxError, match="reference"):
            await any_bus.request(contract(unique), Ask("x"))


async def test_a_malformed_request_is_refused(any_bus: AnyBus, unique: str) -> None:
    class Other(msgspec.Struct, frozen=True):
        text: int

    calls: list[Ask] = []

    async def handler(ask: Ask) -> Answer:
        calls.append(ask)
        return Answer("")

    other = Contract(f"{unique}.ask", Other, Answer)
    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(Invalid) as caught:
            await any_bus.request(other, Other(7))
    assert [error.pointer for error in caught.value.errors] == ["/text"]
    assert calls == []


async def test_another_version_of_the_answer(any_bus: AnyBus, unique: str) -> None:
    class Newer(msgspec.Struct, frozen=True):
        text: str
        count: int

    async def handler(ask: Ask) -> Answer:
        return Answer(ask.text)

    newer = Contract(f"{unique}.ask", Ask, Newer)
    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(IsaaxError, match="does not fit its contract"):
            await any_bus.request(newer, Ask("x"))


async def test_too_large(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer("x" * 2_000_000)

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(TooLarge, match="answer"):
            await any_bus.request(contract(unique), Ask("x"))
        with pytest.raises(TooLarge, match="request"):
            await any_bus.request(contract(unique), Ask("x" * 2_000_000))


# ── time ──────────────────────────────────────────────────────────────────────────────────────


async def test_no_answer_in_time(any_bus: AnyBus, unique: str) -> None:
    cancelled = asyncio.Event()

    async def handler(ask: Ask) -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Answer("")

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with pytest.raises(DeadlineExceeded):
            await any_bus.request(contract(unique), Ask("x"), timeout=0.05)
        async with asyncio.timeout(5):
            await cancelled.wait()


async def test_a_nested_request_has_only_what_is_left(any_bus: AnyBus, unique: str) -> None:
    inner = contract(f"{unique}-inner", timeout=60.0)
    seen: list[float] = []

    async def outer_handler(ask: Ask) -> Answer:
        return await any_bus.request(inner, ask)

    async def inner_handler(ask: Ask) -> Answer:
        seen.append(wire.budget(60.0))
        return Answer("done")

    endpoints = [Endpoint(contract(unique), outer_handler), Endpoint(inner, inner_handler)]
    async with any_bus.serve(unique, "1.0.0", list(endpoints)):
        await any_bus.request(contract(unique), Ask("x"), timeout=3.0)
    assert 0 < seen[0] < 3.0


async def test_used_up_time_asks_nobody(any_bus: AnyBus, unique: str) -> None:
    with (
        wire.deadline(asyncio.get_running_loop().time() - 1),
        pytest.raises(DeadlineExceeded, match="before this was asked"),
    ):
        await any_bus.request(contract(unique), Ask("x"))


async def test_an_expired_request_is_not_executed(any_bus: AnyBus, unique: str) -> None:
    calls: list[str] = []
    first, release = asyncio.Event(), asyncio.Event()

    async def handler(ask: Ask) -> Answer:
        calls.append(ask.text)
        first.set()
        await release.wait()
        return Answer(ask.text)

    async def at_once(ask: Ask) -> Answer:
        return Answer(ask.text)

    endpoint = Endpoint(contract(unique), handler, concurrency=1)
    other = contract(f"{unique}x")
    async with any_bus.serve(unique, "1.0.0", [endpoint, Endpoint(other, at_once)]):
        slow = asyncio.create_task(any_bus.request(contract(unique), Ask("slow")))
        await first.wait()
        with pytest.raises(DeadlineExceeded):
            await any_bus.request(contract(unique), Ask("expired"), timeout=0.05)
        # What was sent before this has arrived, and its time runs out there, too.
        await any_bus.request(other, Ask("round trip"))
        await asyncio.sleep(0.06)
        release.set()
        await slow
        await any_bus.request(contract(unique), Ask("after"))
    assert calls == ["slow", "after"]


async def test_the_trace_goes_along(any_bus: AnyBus, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        trace = current_trace()
        return Answer(trace.trace_id if trace else "")

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        with with_traceparent(None) as trace:
            answer = await any_bus.request(contract(unique), Ask("x"))
    assert answer.text == trace.trace_id


# ── load ──────────────────────────────────────────────────────────────────────────────────────


class Gate:
    """A handler that counts those inside and lets them out when told to."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.done = 0
        self.open = asyncio.Event()

    async def __call__(self, ask: Ask) -> Answer:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        self.done += 1
        return Answer(ask.text)


def ask_many(bus: AnyBus, unique: str, count: int) -> list[asyncio.Task[Answer]]:
    return [
        asyncio.create_task(bus.request(contract(unique), Ask(str(number))))
        for number in range(count)
    ]


async def test_bounded_concurrency_and_a_bounded_queue(any_bus: AnyBus, unique: str) -> None:
    gate = Gate()
    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), gate, concurrency=2)]):
        # 2 at work, 8 waiting, 5 too many: those are told at once, while the others still wait.
        tasks = ask_many(any_bus, unique, 15)
        await until(lambda: sum(task.done() for task in tasks) == 5)
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert len(refused) == 5
    assert all("busy" in error.detail for error in refused)
    assert (gate.most, gate.done) == (2, 10)


async def test_drain_answers_everything_accepted(any_bus: AnyBus, unique: str) -> None:
    gate = Gate()
    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), gate, concurrency=2)]):
        tasks = ask_many(any_bus, unique, 8)
        await until(lambda: gate.inside == 2)
        # Let them out only once nobody new is taken in.
        opening = asyncio.create_task(open_when_closed(any_bus, unique, gate))
    results = await asyncio.gather(*tasks)
    await opening
    assert sorted(int(result.text) for result in results) == list(range(8))


async def open_when_closed(bus: AnyBus, unique: str, gate: Gate) -> None:
    try:
        while True:
            await bus.request(contract(unique), Ask("late"), timeout=0.05)
    except DeadlineExceeded:
        await open_when_closed(bus, unique, gate)
    except Unavailable:
        gate.open.set()


async def test_a_cancelled_drain_answers_what_is_left(any_bus: AnyBus, unique: str) -> None:
    gate = Gate()

    async def service() -> None:
        endpoint = Endpoint(contract(unique), gate, concurrency=1)
        async with any_bus.serve(unique, "1.0.0", [endpoint]):
            await asyncio.Event().wait()

    serving = asyncio.create_task(service())
    tasks: list[asyncio.Task[Answer]] = []

    async def started() -> bool:
        tasks[:] = [task for task in tasks if not task.done()] or ask_many(any_bus, unique, 3)
        await asyncio.sleep(0)
        return gate.inside == 1

    await until(started)
    serving.cancel()  # the end of the service
    await asyncio.sleep(0.05)
    serving.cancel()  # the end of its drain budget
    with pytest.raises(asyncio.CancelledError):
        await serving
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3


async def test_two_servers_share_the_work(any_bus: AnyBus, unique: str) -> None:
    def serving(name: str) -> Callable[[Ask], Awaitable[Answer]]:
        async def handler(ask: Ask) -> Answer:
            return Answer(name)

        return handler

    one = Endpoint(contract(unique), serving("one"))
    two = Endpoint(contract(unique), serving("two"))
    async with (
        any_bus.serve(unique, "1.0.0", [one]),
        any_bus.serve(unique, "1.0.0", [two]),
    ):
        answers = [await any_bus.request(contract(unique), Ask("x")) for _ in range(40)]
    assert {answer.text for answer in answers} == {"one", "two"}


async def test_what_is_counted(any_bus: AnyBus, bus_metrics: Metrics, unique: str) -> None:
    async def handler(ask: Ask) -> Answer:
        if ask.text == "fail":
            raise NotFound
        return Answer(ask.text)

    async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
        await any_bus.request(contract(unique), Ask("x"))
        with pytest.raises(NotFound):
            await any_bus.request(contract(unique), Ask("fail"))
    shown = bus_metrics.render().decode()
    name = contract(unique).subject
    assert f'isaax_bus_requests_total{{contract="{name}",outcome="ok"}} 1.0' in shown
    assert f'isaax_bus_requests_total{{contract="{name}",outcome="not-found"}} 1.0' in shown
    assert f'isaax_bus_request_seconds_count{{contract="{name}"}} 2.0' in shown


async def test_within_a_process_nothing_travels(any_bus: AnyBus, unique: str) -> None:
    """A service of the same process is asked without a transport, and sees the same."""
    seen: list[object] = []

    async def handler(ask: Ask) -> Answer:
        trace, left = current_trace(), wire.budget(60)
        seen.append((hidden_projects(), trace and trace.trace_id, 0 < left <= 2))
        await asyncio.sleep(0)
        return Answer(ask.text + ask.secret.reveal())

    async def nowhere(*_: object, **__: object) -> None:
        raise AssertionError("a message was sent")

    with pytest.MonkeyPatch.context() as patch:
        async with any_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), handler)]):
            patch.setattr(any_bus._transport, "publish", nowhere)
            patch.setattr(any_bus._transport, "request", nowhere)
            with hiding(["prj_x"]), with_traceparent(None) as trace:
                answer = await any_bus.request(contract(unique), Ask("a", Secret("b")), timeout=2)
            patch.undo()
    assert answer == Answer("ab")
    assert seen == [(frozenset({"prj_x"}), trace.trace_id, True)]


async def test_what_waits_its_turn_within_a_process_keeps_whose_it_is(
    any_bus: AnyBus, unique: str
) -> None:
    """It is begun by the end of another request, and not in that one's name."""
    go_on = asyncio.Event()
    seen: list[frozenset[str]] = []

    async def handler(ask: Ask) -> Answer:
        seen.append(hidden_projects())
        await go_on.wait()
        return Answer(ask.text)

    async def ask(name: str) -> None:
        with hiding([name]):
            await any_bus.request(contract(unique), Ask(name))

    endpoint = Endpoint(contract(unique), handler, concurrency=1)
    async with any_bus.serve(unique, "1.0.0", [endpoint]):
        asked = [asyncio.create_task(ask(name)) for name in ("one", "two", "three")]
        await until(lambda: len(seen) == 1, what="the first is at work")
        go_on.set()
        await asyncio.gather(*asked)
    assert seen == [{"one"}, {"two"}, {"three"}]
