"""Events, over JetStream and in memory: the same promises."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from hub.contracts import TOGETHER, Consumer, EventInfo, Topic
from hub.errors import NotFound, Unavailable
from hub.telemetry import Metrics, current_trace, with_traceparent
from tests.deadline import until
from tests.fixtures.bus import AnyBus


class Happened(msgspec.Struct, frozen=True):
    number: int


def topic(name: str) -> Topic[Happened]:
    return Topic(f"{name}.thing.happened", Happened)


async def publish(bus: AnyBus, name: str, *numbers: int) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in numbers]
    for event_id, number in zip(ids, numbers, strict=True):
        await bus.publish(topic(name), Happened(number), id=event_id, key=f"key-{number}")
    return ids


class Log:
    """A handler that remembers, and fails as often as it is told to."""

    def __init__(self, failures: dict[int, int] | None = None) -> None:
        self.seen: list[tuple[int, EventInfo]] = []
        self._failures = Counter(failures or {})

    async def __call__(self, event: Happened, info: EventInfo) -> None:
        self.seen.append((event.number, info))
        if self._failures[event.number]:
            self._failures[event.number] -= 1
            raise Unavailable("not now")

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.seen]


def consumer(
    name: str,
    handler: Callable[[Happened, EventInfo], Awaitable[None]],
    suffix: str = "",
    attempts: int = 12,
    concurrency: int = 1,
) -> Consumer[Happened]:
    return Consumer(topic(name), f"{name}{suffix}", handler, attempts, concurrency)


async def test_each_consumer_gets_each_event_in_order(any_bus: AnyBus, unique: str) -> None:
    one, two = Log(), Log()
    async with any_bus.consume(consumer(unique, one, "-a"), consumer(unique, two, "-b")):
        ids = await publish(any_bus, unique, *range(20))
        await until(lambda: len(one.seen) == len(two.seen) == 20)
    assert one.numbers == two.numbers == list(range(20))
    assert [(info.id, info.key, info.attempt) for _, info in one.seen] == [
        (event_id, f"key-{number}", 1) for number, event_id in enumerate(ids)
    ]


class Together:
    """A handler of many, which remembers, and fails as often as it is told to."""

    def __init__(self, log: Log, failures: int = 0) -> None:
        self.batches: list[list[int]] = []
        self.log = log
        self._failures = failures

    async def __call__(self, events: Sequence[tuple[Happened, EventInfo]]) -> None:
        if self._failures:
            self._failures -= 1
            raise Unavailable("not all of them")
        self.batches.append([event.number for event, _ in events])
        self.log.seen += [(event.number, info) for event, info in events]

    def consumer(self, name: str, attempts: int = 12) -> Consumer[Happened]:
        return Consumer(topic(name), name, self.log, attempts, together=self)


async def test_what_waits_is_given_together_and_in_order(any_bus: AnyBus, unique: str) -> None:
    many, total = Together(Log()), TOGETHER + 50
    ids = await publish(any_bus, unique, *range(total))
    async with any_bus.consume(many.consumer(unique)):
        await until(lambda: len(many.log.seen) == total, what="all of them")
        await publish(any_bus, unique, total)
        await until(lambda: total in many.log.numbers, what="one by itself")
    assert many.log.numbers == list(range(total + 1))
    assert [len(batch) for batch in many.batches] == [TOGETHER, 50]
    infos = [(info.id, info.key, info.attempt) for _, info in many.log.seen[:total]]
    assert infos == [(event_id, f"key-{n}", 1) for n, event_id in enumerate(ids)]


async def test_what_cannot_be_done_together_is_done_one_by_one(
    any_bus: AnyBus, unique: str
) -> None:
    """In order: one that fails holds up the others, and one that never can goes to the dead."""
    many = Together(Log({1: 2, 2: 99}), failures=1)
    await publish(any_bus, unique, 0, 1, 2, 3)
    async with any_bus.consume(many.consumer(unique, attempts=3)):
        await until(lambda: 3 in many.log.numbers, what="the last one")
        [dead] = await any_bus.dead_events(unique)
    assert many.log.numbers == [0, 1, 1, 1, 2, 2, 2, 3]
    assert [info.attempt for _, info in many.log.seen] == [1, 1, 2, 3, 1, 2, 3, 1]
    assert (dead.id, dead.attempts) == (many.log.seen[4][1].id, 3)


async def test_an_unreadable_one_among_many_dies_alone(any_bus: AnyBus, unique: str) -> None:
    class Newer(msgspec.Struct, frozen=True):
        number: str

    many = Together(Log())
    await publish(any_bus, unique, 1)
    newer = Topic(topic(unique).subject, Newer)
    await any_bus.publish(newer, Newer("x"), id=str(uuid.uuid4()), key="k")
    await publish(any_bus, unique, 2)
    async with any_bus.consume(many.consumer(unique)):
        await until(lambda: many.log.numbers == [1, 2], what="the others")
        [dead] = await any_bus.dead_events(unique)
    assert "not a Happened" in dead.reason


async def test_what_came_before_the_consumer(any_bus: AnyBus, unique: str) -> None:
    log = Log()
    await publish(any_bus, unique, 1, 2)
    async with any_bus.consume(consumer(unique, log)):
        await until(lambda: log.numbers == [1, 2])


async def test_it_goes_on_where_it_stopped(any_bus: AnyBus, unique: str) -> None:
    first, second = Log(), Log()
    async with any_bus.consume(consumer(unique, first)):
        await publish(any_bus, unique, 1)
        await until(lambda: first.numbers == [1])
    await publish(any_bus, unique, 2)
    async with any_bus.consume(consumer(unique, second)):
        await until(lambda: second.numbers == [2])


async def test_the_same_id_is_stored_once(any_bus: AnyBus, unique: str) -> None:
    log = Log()
    event_id = str(uuid.uuid4())
    async with any_bus.consume(consumer(unique, log)):
        for _ in range(3):
            await any_bus.publish(topic(unique), Happened(1), id=event_id, key="k")
        await publish(any_bus, unique, 2)
        await until(lambda: 2 in log.numbers)
    assert log.numbers == [1, 2]


async def test_a_failure_comes_again_before_what_follows(any_bus: AnyBus, unique: str) -> None:
    log = Log({1: 2})
    async with any_bus.consume(consumer(unique, log)):
        await publish(any_bus, unique, 1, 2, 3)
        await until(lambda: 3 in log.numbers)
    assert log.numbers == [1, 1, 1, 2, 3]
    assert [info.attempt for _, info in log.seen] == [1, 2, 3, 1, 1]


async def test_what_is_counted(any_bus: AnyBus, bus_metrics: Metrics, unique: str) -> None:
    log = Log({1: 1, 2: 9})
    async with any_bus.consume(consumer(unique, log, attempts=2)):
        await publish(any_bus, unique, 1, 2, 3)
        await until(lambda: 3 in log.numbers)
    shown = bus_metrics.render().decode()
    for outcome, count in (("done", 2), ("retry", 2), ("dead", 1)):
        labels = f'consumer="{unique}",outcome="{outcome}"'
        assert f"isaax_bus_events_total{{{labels}}} {count}.0" in shown


async def test_a_poison_event_is_kept_and_the_rest_flows(any_bus: AnyBus, unique: str) -> None:
    log = Log({1: 99})
    async with any_bus.consume(consumer(unique, log, attempts=3)):
        ids = await publish(any_bus, unique, 1, 2)
        await until(lambda: 2 in log.numbers)
        assert log.numbers == [1, 1, 1, 2]
        [dead] = await any_bus.dead_events(unique)
    assert (dead.consumer, dead.topic, dead.id, dead.key, dead.attempts) == (
        unique, topic(unique).subject, ids[0], "key-1", 3,
    )  # fmt: skip
    assert "not now" in dead.reason
    assert msgspec.json.decode(bytes(dead.payload)) == {"number": 1}


async def test_an_unreadable_event_dies_at_once(any_bus: AnyBus, unique: str) -> None:
    class Newer(msgspec.Struct, frozen=True):
        number: str

    log = Log()
    async with any_bus.consume(consumer(unique, log)):
        newer = Topic(topic(unique).subject, Newer)
        await any_bus.publish(newer, Newer("x"), id=str(uuid.uuid4()), key="k")
        await publish(any_bus, unique, 2)
        await until(lambda: log.numbers == [2])
        [dead] = await any_bus.dead_events(unique)
    assert dead.attempts == 1
    assert "not a Happened" in dead.reason


async def test_a_mistake_does_not_leak_into_the_dead_events(any_bus: AnyBus, unique: str) -> None:
    async def handler(event: Happened, info: EventInfo) -> None:
        raise RuntimeError("hunter2")

    async def is_dead() -> bool:
        return bool(await any_bus.dead_events(unique))

    async with any_bus.consume(consumer(unique, handler, attempts=1)):
        await publish(any_bus, unique, 1)
        await until(is_dead)
    [dead] = await any_bus.dead_events(unique)
    assert "hunter2" not in dead.reason
    assert "reference" in dead.reason


async def test_a_replay_reaches_only_its_own_consumer(any_bus: AnyBus, unique: str) -> None:
    broken, other = Log({1: 2}), Log()
    readers = (
        consumer(unique, broken, "-broken", attempts=2),
        consumer(unique, other, "-other"),
    )
    async with any_bus.consume(*readers):
        ids = await publish(any_bus, unique, 1)

        async def is_dead() -> bool:
            return bool(await any_bus.dead_events(f"{unique}-broken"))

        await until(is_dead)
        [dead] = await any_bus.dead_events(f"{unique}-broken")
        await any_bus.replay_event(dead.position)
        await until(lambda: broken.numbers == [1, 1, 1])
        await publish(any_bus, unique, 2)
        await until(lambda: 2 in broken.numbers and 2 in other.numbers)
    assert other.numbers == [1, 2]
    assert (broken.seen[2][1].id, broken.seen[2][1].key, broken.seen[2][1].attempt) == (
        ids[0], "key-1", 1,
    )  # fmt: skip
    assert await any_bus.dead_events(f"{unique}-broken") == []
    with pytest.raises(NotFound):
        await any_bus.replay_event(dead.position)


async def test_a_replayed_event_may_die_again(any_bus: AnyBus, unique: str) -> None:
    async def deaths() -> int:
        return len(await any_bus.dead_events(unique))

    async def died() -> bool:
        return await deaths() == 1

    log = Log({1: 99})
    async with any_bus.consume(consumer(unique, log, attempts=1)):
        await publish(any_bus, unique, 1)
        await until(died)
        [first] = await any_bus.dead_events(unique)
        await any_bus.replay_event(first.position)
        await until(lambda: log.numbers == [1, 1])
        await until(died)
        [second] = await any_bus.dead_events(unique)
    assert second.position > first.position
    assert (second.topic, second.id) == (first.topic, first.id)


async def test_dead_events_come_in_pages(any_bus: AnyBus, unique: str) -> None:
    async def all_dead() -> bool:
        return len(await any_bus.dead_events(unique)) == 5

    async with any_bus.consume(consumer(unique, Log(dict.fromkeys(range(5), 9)), attempts=1)):
        await publish(any_bus, unique, *range(5))
        await until(all_dead)
    page = await any_bus.dead_events(unique, limit=3)
    rest = await any_bus.dead_events(unique, after=page[-1].position, limit=3)
    keys = [event.key for event in (*page, *rest)]
    assert keys == [f"key-{number}" for number in range(5)]
    assert len(page) == 3


async def test_bounded_concurrency(any_bus: AnyBus, unique: str) -> None:
    inside, most = 0, 0
    gate = asyncio.Event()

    async def handler(event: Happened, info: EventInfo) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await gate.wait()
        inside -= 1

    async with any_bus.consume(consumer(unique, handler, concurrency=3)):
        await publish(any_bus, unique, *range(9))
        await until(lambda: inside == 3)
        gate.set()
        await until(lambda: inside == 0)
    assert most == 3


async def test_leaving_finishes_what_is_at_work(any_bus: AnyBus, unique: str) -> None:
    started, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(event: Happened, info: EventInfo) -> None:
        started.set()
        await gate.wait()
        done.set()

    async with any_bus.consume(consumer(unique, handler)):
        await publish(any_bus, unique, 1)
        await started.wait()
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert done.is_set()


async def test_the_trace_goes_along(any_bus: AnyBus, unique: str) -> None:
    traces: list[str] = []

    async def handler(event: Happened, info: EventInfo) -> None:
        trace = current_trace()
        traces.append(trace.trace_id if trace else "")

    async with any_bus.consume(consumer(unique, handler)):
        with with_traceparent(None) as trace:
            await publish(any_bus, unique, 1)
        await until(lambda: bool(traces))
    assert traces == [trace.trace_id]


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">"])
async def test_a_consumer_name_that_cannot_be(any_bus: AnyBus, unique: str, name: str) -> None:
    with pytest.raises(ValueError, match="consumer name"):
        async with any_bus.consume(Consumer(topic(unique), name, Log())):
            pass


@pytest.mark.parametrize(("event_id", "key"), [("", "k"), ("i", ""), ("i", "a\r\nb"), ("i", "é")])
async def test_an_id_or_key_that_cannot_be(
    any_bus: AnyBus, unique: str, event_id: str, key: str
) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        await any_bus.publish(topic(unique), Happened(1), id=event_id, key=key)
