"""Integrations over their lanes: logs, metrics, replays; paused, changed, restarted, measured."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from hub.batches import Batch, Chunk, MetricBatch
from hub.contracts import Bus
from hub.database import Database
from hub.destinations import DestinationType, Limits
from hub.errors import Invalid
from hub.migrations import migrate
from hub.outcomes import Partial, Retry
from hub.protocol import Samples, encode_samples
from hub.relay.checkpoint import Checkpoints
from hub.relay.contracts import Counted, IntegrationSpec, IntegrationStatus, SomeDead
from hub.relay.cursor import consumer_names
from hub.relay.integrations import Integrations
from hub.relay.lanes import Lane, LaneKind, delete_replayed
from hub.relay.places import Places
from hub.relay.replays import Replays
from hub.relay.retry import Breaker
from hub.relay.workshop import Wanted, Workshop
from hub.settings import PostgresSettings, RelaySettings
from hub.shaping.rules import Filter, Match, RateLimit, Shape
from tests.fixtures.relay import (
    DEVICE,
    PROJECT,
    Bench,
    Recorder,
    keeping,
    make_lines,
    make_payload,
    spec,
    topic,
    until,
)


class Config(msgspec.Struct, frozen=True):
    """Of the types here: nothing."""


class Both(Recorder):
    """Records lines by their texts, and samples by their names."""

    async def send(self, batch: Batch | MetricBatch) -> None:  # type: ignore[override]
        step = self.plan.pop(0) if self.plan else None
        self.attempts.append(batch)  # type: ignore[arg-type]
        if step is not None:
            raise step
        self.batches.append(batch)  # type: ignore[arg-type]
        for chunk in batch.chunks:
            lines = isinstance(chunk, Chunk)
            self.texts += chunk.lines.messages if lines else chunk.samples.name_column()


def _type(name: str, *, lines: bool = True, samples: bool = False) -> DestinationType[Config]:
    return DestinationType(
        name, name, Config,
        build=(lambda _config, _tools: Recorder()) if lines else None,
        metrics=(lambda _config, _tools: Both()) if samples else None,  # type: ignore[arg-type]
        limits=lambda _config: Limits(100, 100_000),
    )  # fmt: skip


class Shop:
    """A workshop without secrets: it gives the recorders that tests look at."""

    def __init__(self) -> None:
        self.types = {
            "recorder": _type("recorder"),
            "both": _type("both", samples=True),
            "gauges": _type("gauges", lines=False, samples=True),
        }
        self.made: dict[tuple[str, str], Both] = {}
        self.invalid = False

    def type_of(self, spec: IntegrationSpec) -> DestinationType[Any] | None:
        return self.types.get(spec.type)

    def why_without(self, spec: IntegrationSpec) -> str:
        return f"there is no {spec.type}"

    async def config_of(self, _spec: IntegrationSpec, _kind: object) -> Config:
        if self.invalid:
            raise Invalid("the value hunter2 is not valid")
        return Config()

    def of(self, integration: str, wanted: str = "lines") -> Both:
        return self.made.setdefault((integration, wanted), Both())

    @asynccontextmanager
    async def build(
        self, spec: IntegrationSpec, _kind: object, _config: Config, wanted: Wanted
    ) -> AsyncIterator[Both]:
        yield self.of(spec.id, wanted)


class Fleet:
    """Integrations over a bench, as one process runs them."""

    def __init__(self, bench: Bench, database: Database, settings: RelaySettings) -> None:
        self.bench = bench
        self.shop = Shop()
        self._database = database
        self._settings = settings

    @asynccontextmanager
    async def running(self, *, replay_every: float = 0.2) -> AsyncIterator[Integrations]:
        """Run them, and end well."""
        integrations = Integrations(
            self.bench.nats,
            cast("Bus", self.bench.directory),
            cast("Workshop", self.shop),
            settings=self._settings,
            dead=self.bench.dead,
            hosts=self.bench.hosts,
            places=Places(self._database),
            meters=self.bench.delivery_meters(),
            breaker=lambda: Breaker(base=0.01, cap=0.02),
            replay_every=replay_every,
        )
        replaying = asyncio.ensure_future(integrations.replay())
        try:
            yield integrations
        finally:
            replaying.cancel()
            await integrations.stop()

    @asynccontextmanager
    async def replaying(self) -> AsyncIterator[Replays]:
        """Run what the API asks to have dead letters delivered once more."""
        async with keeping(self.bench.nats, self._database) as kept:
            replays = Replays(self.bench.nats, kept, replayed=lambda _integration: None)
            running = asyncio.ensure_future(replays.run())
            try:
                yield replays
            finally:
                running.cancel()

    async def checkpoint(self) -> None:
        """Have the counts of lines written down, as the relay's process does by itself."""
        bench = self.bench
        await Checkpoints(self._database, bench.marks, bench.counts, bench.writer.places).write()

    def texts(self, integration: str = "int_one", wanted: str = "lines") -> list[str]:
        """Give what a destination took."""
        return self.shop.of(integration, wanted).texts


@pytest.fixture
async def fleet(
    bench: Bench, relay_settings: RelaySettings, database_settings: PostgresSettings
) -> AsyncIterator[Fleet]:
    await migrate(database_settings, [])
    async with Database.open(database_settings) as database:
        fleet = Fleet(bench, database, relay_settings)
        yield fleet
        await Places(database).forget("int_one")


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last + 1)]


async def status(integrations: Integrations, integration: str = "int_one") -> IntegrationStatus:
    [found] = await integrations.statuses([integration])
    return found


def has(
    integrations: Integrations, condition: Callable[[IntegrationStatus], bool]
) -> Callable[[], Any]:
    async def holds() -> bool:
        return condition(await status(integrations))

    return holds


async def consumers(bench: Bench, stream: str) -> int:
    return (await bench.nats.jetstream().stream_info(stream)).state.consumer_count or 0


async def measured(bench: Bench, first: int, *names: str) -> None:
    count = len(names)
    columns = Samples([1_700_000_000_000_000] * count, list(names), [1.0] * count)
    message = bench.take(
        encode_samples(columns, boot=1, first=first), topic().replace("log/app", "metric/cpu")
    )
    await until(lambda: message.acked)


async def put_to_replay(bench: Bench, *numbers: int) -> None:
    for number in numbers:
        headers = {
            "Nats-Msg-Id": f"replay:{number}", "Isaax-Batch": f"{DEVICE}:app:1:{number}:1",
        }  # fmt: skip
        await bench.nats.jetstream().publish(
            f"replay.{PROJECT}.int_one", make_payload(number, 1), headers=headers
        )


async def test_lines_and_samples_go_beside_each_other(fleet: Fleet) -> None:
    async with fleet.running() as integrations:
        stuck = fleet.shop.of("int_one", "samples")
        stuck.plan = [Retry("down")] * 10_000
        await integrations.apply("int_one", spec(type="both"))
        await measured(fleet.bench, 1, "load", "idle")
        await until(lambda: len(stuck.attempts) > 8)
        await fleet.bench.store(1, 3)
        await until(lambda: fleet.texts() == texts(1, 3))
        await until(has(integrations, lambda s: s.state == "open" and s.delivered == 3))
        found = await status(integrations)
        assert (found.lag_lines, found.pending, found.error) == (2, 1, "down")
        assert found.lag_seconds > 0
        stuck.plan = []
        await until(has(integrations, lambda s: s.state == "waiting" and s.delivered == 5))
        assert (await status(integrations)).lag_lines == 0


async def test_one_that_takes_metrics_alone_has_no_consumer_of_logs(fleet: Fleet) -> None:
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(type="gauges"))
        await fleet.bench.store(1, 3)
        await measured(fleet.bench, 1, "load")
        await until(lambda: fleet.texts(wanted="samples") == ["load"])
        assert await consumers(fleet.bench, "RELAY_0") == 0
        assert (await status(integrations)).pending == 0


async def test_what_is_put_to_replay_is_delivered_in_order_and_leaves_nothing_behind(
    fleet: Fleet,
) -> None:
    bench = fleet.bench
    async with fleet.running() as integrations:
        shape = Shape(filter=Filter(exclude=(Match(text="line"),)))
        await integrations.apply("int_one", spec(shape=shape))
        await until(has(integrations, lambda s: s.state == "waiting"))
        assert await consumers(bench, "REPLAY") == 0, "nobody waits where nothing comes"
        replay = fleet.shop.of("int_one", "both")
        replay.plan = [Retry("not yet")]
        await put_to_replay(bench, 7, 3, 5)
        integrations.replay_soon("int_one")
        await until(lambda: replay.texts == ["line 7", "line 3", "line 5"])

        async def nothing_is_left() -> bool:
            state = (await bench.nats.jetstream().stream_info("REPLAY")).state
            return state.messages == 0 and state.consumer_count == 0

        await until(nothing_is_left)
        assert (await status(integrations)).state == "waiting"
        await put_to_replay(bench, 8)
        await until(lambda: replay.texts[3:] == ["line 8"])


async def test_a_replay_begins_though_jetstream_did_not_answer_at_first(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Lane.prepare
    failures = [TimeoutError("no answer")]

    async def hesitant(lane: Lane, *args: Any) -> None:
        if lane.kind is LaneKind.REPLAY and failures:
            raise failures.pop()
        await prepare(lane, *args)

    monkeypatch.setattr(Lane, "prepare", hesitant)
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await until(has(integrations, lambda s: s.state == "waiting"))
        await put_to_replay(fleet.bench, 1)
        await until(lambda: fleet.texts(wanted="both") == ["line 1"])
        assert not failures


async def test_a_replay_goes_on_though_jetstream_did_not_answer_at_its_end(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [TimeoutError("no answer")]

    async def hesitant(*args: Any) -> bool:
        if failures:
            await put_to_replay(fleet.bench, 2)
            raise failures.pop()
        return await delete_replayed(*args)

    monkeypatch.setattr("hub.relay.lane_set.delete_replayed", hesitant)
    async with fleet.running() as integrations:
        await put_to_replay(fleet.bench, 1)
        await integrations.apply("int_one", spec())
        await until(lambda: fleet.texts(wanted="both") == ["line 1", "line 2"])
        assert not failures


async def test_what_is_to_be_replayed_begins_as_soon_as_it_can(fleet: Fleet) -> None:
    await put_to_replay(fleet.bench, 1)
    async with fleet.running(replay_every=60.0) as integrations:
        await integrations.apply("int_one", spec())
        await until(lambda: fleet.texts(wanted="both") == ["line 1"], seconds=10)


async def test_a_rate_limit_lets_no_more_go_at_once_than_its_burst(fleet: Fleet) -> None:
    await fleet.bench.store(1, 20)
    async with fleet.running() as integrations:
        shape = Shape(rate_limit=RateLimit(lines_per_second=200, burst=6))
        await integrations.apply("int_one", spec(shape=shape))
        await until(lambda: fleet.texts() == texts(1, 20))
        assert [len(batch) for batch in fleet.shop.of("int_one").batches] == [6, 6, 6, 2]


@pytest.mark.parametrize(
    "limits",
    [
        None, Limits(max_lines=0), Limits(max_bytes=-1), Limits(linger=-1.0),
        Limits(linger=math.nan), Limits(linger=math.inf), Limits(max_lines="many"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
async def test_limits_that_make_no_sense_are_said_to(fleet: Fleet, limits: Any) -> None:
    fleet.shop.types["odd"] = replace(_type("odd"), limits=lambda _config: limits)
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(type="odd"))
        await until(has(integrations, lambda s: s.state == "broken"))
        assert (await status(integrations)).error == "its limits make no sense"
        await integrations.apply("int_one", spec(revision=2))
        await until(has(integrations, lambda s: s.state == "waiting"))


async def test_a_mistake_while_it_gets_ready_is_said_and_tried_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistakes = [RuntimeError("ours")]
    config_of = fleet.shop.config_of

    async def mistaken(*args: Any) -> Config:
        if mistakes:
            raise mistakes.pop()
        return await config_of(*args)

    monkeypatch.setattr(fleet.shop, "config_of", mistaken)
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await fleet.bench.store(1, 2)
        await until(lambda: fleet.texts() == texts(1, 2))
        assert (await status(integrations)).error == "internal error: RuntimeError"


async def test_samples_are_not_repeated_when_the_type_goes_and_comes_back(fleet: Fleet) -> None:
    """As when its plugin is installed anew: of a message some were taken, and some were not."""
    async with fleet.running() as integrations:
        samples = fleet.shop.of("int_one", "samples")
        samples.plan = [Partial(retry=[1]), *[Retry("down")] * 10_000]
        await integrations.apply("int_one", spec(type="both"))
        await measured(fleet.bench, 1, "load", "idle")
        await until(lambda: len(samples.attempts) > 3)
        kind = fleet.shop.types.pop("both")
        await integrations.apply("int_one", spec(type="both", revision=2))
        await until(has(integrations, lambda s: s.state == "broken"))
        samples.plan, before = [], len(samples.attempts)
        fleet.shop.types["both"] = kind
        await until(lambda: len(samples.attempts) > before)
        names = [c.samples.name_column() for b in samples.attempts[before:] for c in b.chunks]  # type: ignore[attr-defined]
        assert names == [["idle"]]


async def test_a_replay_outlives_a_change_and_waits_out_a_pause(fleet: Fleet) -> None:
    async with fleet.running() as integrations:
        replay = fleet.shop.of("int_one", "both")
        replay.plan = [Retry("down")] * 10_000
        await put_to_replay(fleet.bench, 1, 2)
        await integrations.apply("int_one", spec())
        await until(lambda: len(replay.attempts) > 2)
        await integrations.apply("int_one", spec(revision=2, enabled=False))
        replay.plan = []
        assert (await status(integrations)).state == "paused"
        assert replay.texts == []
        await integrations.apply("int_one", spec(revision=3))
        await until(lambda: replay.texts == ["line 1", "line 2"])


async def test_lines_wait_from_its_making_though_it_is_made_paused(fleet: Fleet) -> None:
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        assert await consumers(fleet.bench, "RELAY_0") == 1
        await fleet.bench.store(1, 3)
        await fleet.bench.store(4, 2)
        await until(has(integrations, lambda s: (s.pending, s.lag_lines) == (2, 5)))
        assert (await status(integrations)).lag_seconds > 0
        await integrations.apply("int_one", spec(revision=2))
        await until(lambda: fleet.texts() == texts(1, 5))
        await integrations.apply("int_one", spec(revision=3, enabled=False))
        await fleet.bench.store(6, 1)
        await integrations.apply("int_one", spec(revision=4))
        await until(lambda: fleet.texts() == texts(1, 6))


async def test_another_start_is_a_replay_from_then_and_any_other_change_is_none(
    fleet: Fleet,
) -> None:
    async with fleet.running() as integrations:
        await fleet.bench.store(1, 3)
        await integrations.apply("int_one", spec())
        await until(lambda: fleet.texts() == texts(1, 3))
        await integrations.apply("int_one", spec(revision=2, shape=Shape(labels={"a": "b"})))
        await fleet.bench.store(4, 1)
        await until(lambda: fleet.texts() == texts(1, 4))
        await integrations.apply("int_one", spec(revision=3, start_at=2_000_000))
        await until(lambda: fleet.texts() == texts(1, 4) * 2)
        await until(has(integrations, lambda s: s.state == "waiting" and not s.pending))
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(revision=3, start_at=2_000_000))
        await fleet.bench.store(5, 1)
        await until(lambda: fleet.texts() == [*(texts(1, 4) * 2), "line 5"])
        assert (await status(integrations)).gap_lines == 0


async def test_what_retention_takes_while_the_hub_is_down_is_a_gap(fleet: Fleet) -> None:
    bench = fleet.bench
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await bench.store(1, 3)
        await until(lambda: fleet.texts() == texts(1, 3))
    for first in range(4, 24, 4):
        await bench.store(first, 4)
    state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
    await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq)
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await until(lambda: fleet.texts() == [*texts(1, 3), *texts(20, 23)])
        found = await status(integrations)
        assert found.gap_lines == 16
        assert "up to 16 lines" in found.error
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await until(has(integrations, lambda s: s.gap_lines == 16))


async def test_a_gap_is_seen_while_it_is_paused_since_its_making(fleet: Fleet) -> None:
    bench = fleet.bench
    await bench.store(1, 3)
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        for first in range(4, 24, 4):
            await bench.store(first, 4)
        state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
        await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq)
        await until(has(integrations, lambda s: s.gap_lines == 19))
        await integrations.apply("int_one", spec(revision=2))
        await until(lambda: fleet.texts() == texts(20, 23))
        assert (await status(integrations)).gap_lines == 19, "counted once"


async def test_a_gap_is_seen_by_one_that_was_made_paused_where_nothing_was_sent_yet(
    fleet: Fleet,
) -> None:
    bench = fleet.bench
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        for first in range(1, 21, 4):
            await bench.store(first, 4)
        state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
        await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq)
        await until(has(integrations, has_gap(16)))
        await integrations.apply("int_one", spec(revision=2))
        await until(lambda: fleet.texts() == texts(17, 20))
        assert has_gap(16)(await status(integrations)), "counted once"


async def test_a_gap_is_seen_where_nothing_came_after_it(fleet: Fleet) -> None:
    """All that waited is gone; how much that was, the count of the project's lines says."""
    bench = fleet.bench
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        await bench.store(1, 4)
        await until(has(integrations, lambda s: s.lag_lines == 4))
        await fleet.checkpoint()
        await bench.nats.jetstream().purge_stream("RELAY_0")
        await until(has(integrations, has_gap(4)))
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await bench.store(5, 1)
        await until(lambda: fleet.texts() == ["line 5"])
        assert has_gap(4)(await status(integrations)), "counted once"


async def test_what_came_before_one_was_made_is_no_gap(fleet: Fleet) -> None:
    bench = fleet.bench
    await bench.store(1, 4)
    await fleet.checkpoint()
    await bench.nats.jetstream().purge_stream("RELAY_0")
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        await bench.store(5, 2)
        await until(has(integrations, lambda s: s.lag_lines == 2))
        await integrations.apply("int_one", spec(revision=2))
        await until(lambda: fleet.texts() == texts(5, 6))
        assert has_gap(0)(await status(integrations))


async def test_what_was_delivered_after_its_place_was_written_down_is_no_gap(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the hub is killed: JetStream knows more than Postgres."""
    bench = fleet.bench
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await bench.store(1, 3)
        await until(lambda: fleet.texts() == texts(1, 3))
    with monkeypatch.context() as patch:
        patch.setattr(Places, "keep", _forgotten)
        async with fleet.running() as integrations:
            await integrations.apply("int_one", spec())
            await bench.store(4, 2)
            await until(lambda: fleet.texts() == texts(1, 5))
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec())
        await bench.store(6, 1)
        await until(lambda: fleet.texts() == texts(1, 6))
        assert has_gap(0)(await status(integrations))


async def _forgotten(_places: Places, _rows: object) -> None:
    return


async def test_a_gap_is_counted_once_though_it_was_read_before_and_the_hub_starts_anew(
    fleet: Fleet,
) -> None:
    bench = fleet.bench
    counted = has_gap(20)
    async with fleet.running() as integrations:
        destination = fleet.shop.of("int_one")
        destination.plan = [Retry("down")] * 10_000
        await integrations.apply("int_one", spec())
        await bench.store(1, 4)
        await until(lambda: len(destination.attempts) > 1)
        await integrations.apply("int_one", spec(revision=2, enabled=False))
        for first in range(5, 25, 4):
            await bench.store(first, 4)
        state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
        await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq)
        await until(has(integrations, counted))
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(revision=2, enabled=False))
        await until(has(integrations, lambda s: s.state == "paused"))
        await status(integrations)
        assert counted(await status(integrations)), "not again at a start"
        destination.plan = []
        await integrations.apply("int_one", spec(revision=3))
        await until(lambda: fleet.texts() == texts(21, 24))
        assert counted(await status(integrations)), "not again by who reads on"


async def test_a_gap_is_counted_once_by_one_that_was_paused_with_lines_in_hand(
    fleet: Fleet,
) -> None:
    bench = fleet.bench
    counted = has_gap(20)
    async with fleet.running() as integrations:
        destination = fleet.shop.of("int_one")
        destination.plan = [Retry("down")] * 10_000
        await integrations.apply("int_one", spec())
        await bench.store(1, 4)
        await until(lambda: len(destination.attempts) > 1)
        await integrations.apply("int_one", spec(revision=2, enabled=False))
        for first in range(5, 25, 4):
            await bench.store(first, 4)
        state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
        await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq)
        await until(has(integrations, counted))
        destination.plan = []
        await integrations.apply("int_one", spec(revision=3))
        await until(lambda: fleet.texts() == texts(21, 24))
        assert counted(await status(integrations))


def has_gap(lines: int) -> Callable[[IntegrationStatus], bool]:
    return lambda status: status.gap_lines == lines


# ── replays that age takes ────────────────────────────────────────────────────────────────────


async def bury(bench: Bench, *numbers: int) -> None:
    """Make dead letters of these lines, two lines each."""
    chunks = [Chunk(PROJECT, DEVICE, "host-1", "app", 1, n, 1, make_lines(n, 2)) for n in numbers]
    await bench.dead.put_chunks("int_one", [(chunk, "too sad") for chunk in chunks])


async def taken_from(bench: Bench, stream: str, *, left: int) -> None:
    """Have all messages of a stream gone but for the last ones, as when they are too old."""
    state = (await bench.nats.jetstream().stream_info(stream)).state
    await bench.nats.jetstream().purge_stream(stream, seq=state.last_seq + 1 - left)


async def test_what_age_takes_of_a_replay_is_a_gap(fleet: Fleet) -> None:
    bench = fleet.bench
    async with fleet.replaying() as replays, fleet.running() as integrations:
        await integrations.apply("int_one", spec(enabled=False))
        await bury(bench, 1, 3, 5)
        assert await replays.replay(SomeDead(PROJECT, "int_one")) == Counted(3, 6)
        await until(has(integrations, lambda s: s.lag_lines == 6))
        await taken_from(bench, "REPLAY", left=1)
        await until(has(integrations, has_gap(4)))
        assert "up to 4 lines" in (await status(integrations)).error
        await integrations.apply("int_one", spec(revision=2))
        await until(lambda: fleet.texts(wanted="both") == texts(5, 6))
        await until(lambda: _is(consumer_names(bench.nats, "REPLAY"), []))
        assert has_gap(4)(await status(integrations)), "counted once"
        await bury(bench, 7)
        await replays.replay(SomeDead(PROJECT, "int_one"))
        await until(lambda: fleet.texts(wanted="both") == texts(5, 8))
        await until(lambda: _is(consumer_names(bench.nats, "REPLAY"), []))
        assert has_gap(4)(await status(integrations))
    async with fleet.running() as integrations:
        await integrations.apply("int_one", spec(revision=2))
        await until(has(integrations, lambda s: s.state == "waiting"))
        assert has_gap(4)(await status(integrations)), "nor at a start"


async def test_of_a_replay_of_which_nothing_is_left_all_is_a_gap(fleet: Fleet) -> None:
    """While it is paused, and while the hub is down."""
    bench = fleet.bench
    async with fleet.replaying() as replays:
        async with fleet.running() as integrations:
            await integrations.apply("int_one", spec(enabled=False))
            await bury(bench, 1, 3)
            await replays.replay(SomeDead(PROJECT, "int_one"))
            await until(has(integrations, lambda s: s.lag_lines == 4))
            await taken_from(bench, "REPLAY", left=0)
            await until(has(integrations, has_gap(4)))
            await bury(bench, 5)
            await replays.replay(SomeDead(PROJECT, "int_one"))
        await taken_from(bench, "REPLAY", left=0)
        async with fleet.running() as integrations:
            await integrations.apply("int_one", spec(revision=2))
            await until(has(integrations, has_gap(6)))
            await until(lambda: _is(consumer_names(bench.nats, "REPLAY"), []))
            assert fleet.texts(wanted="both") == []


async def test_a_replay_that_is_all_gone_while_it_was_tried_is_a_gap(fleet: Fleet) -> None:
    bench = fleet.bench
    async with fleet.replaying() as replays, fleet.running() as integrations:
        replay = fleet.shop.of("int_one", "both")
        replay.plan = [Retry("down")] * 10_000
        await integrations.apply("int_one", spec())
        await bury(bench, *range(1, 200, 2))
        await replays.replay(SomeDead(PROJECT, "int_one"))
        await until(has(integrations, lambda s: s.state == "open"))
        await taken_from(bench, "REPLAY", left=0)
        in_hand = len(replay.attempts[-1])
        replay.plan = []
        await until(has(integrations, has_gap(200 - in_hand)))
        await until(lambda: _is(consumer_names(bench.nats, "REPLAY"), []))
        assert len(replay.texts) == in_hand


async def test_a_deleted_one_leaves_no_consumer_of_any_lane(fleet: Fleet) -> None:
    bench = fleet.bench
    async with fleet.running() as integrations:
        fleet.shop.of("int_one", "both").plan = [Retry("down")] * 10_000
        await put_to_replay(bench, 1)
        await integrations.apply("int_one", spec(type="both"))
        for stream in ("RELAY_0", "METRIC_0", "REPLAY"):
            await until(lambda stream=stream: _is(consumers(bench, stream), 1))
        await integrations.apply("int_one", None)
        for stream in ("RELAY_0", "METRIC_0", "REPLAY"):
            assert await consumers(bench, stream) == 0
        assert await integrations.statuses(["int_one"]) == []
        assert b"int_one" not in bench.metrics.render()


async def _is(found: Any, wanted: Any) -> bool:
    return bool(await found == wanted)


async def test_what_is_wrong_is_said_without_the_values(fleet: Fleet) -> None:
    async with fleet.running() as integrations:
        fleet.shop.invalid = True
        await integrations.apply("int_one", spec())
        await until(has(integrations, lambda s: s.state == "broken"))
        assert (await status(integrations)).error == "its config is not valid"
        fleet.shop.invalid = False
        await fleet.bench.store(1, 1)
        await until(lambda: fleet.texts() == ["line 1"])
        await until(has(integrations, lambda s: s.state == "waiting"))


class TestFallingBehind:
    """With a retention that a test outlives."""

    @pytest.fixture
    def relay_settings(self) -> RelaySettings:
        return RelaySettings(max_bytes=1 << 30, max_age=3.0)

    async def test_one_that_falls_behind_retention_says_so(self, fleet: Fleet) -> None:
        async with fleet.running() as integrations:
            destination = fleet.shop.of("int_one")
            destination.plan = [Retry("down")] * 10_000
            await integrations.apply("int_one", spec())
            await fleet.bench.store(1, 3)
            await until(has(integrations, lambda s: "is falling behind retention" in s.error))
            found = await status(integrations)
            assert found.error.startswith("down; is falling behind retention: the oldest line")
            destination.plan = []
            await until(has(integrations, lambda s: s.state == "waiting" and s.pending == 0))
            assert "behind" not in (await status(integrations)).error
