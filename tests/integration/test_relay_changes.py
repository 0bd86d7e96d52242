"""What a change, a pause or an end of a delivery does to lines: nothing, but once each, in order.

A change of an integration ends one `Delivery` and begins another with the same cursor.
"""

import asyncio

import msgspec
import pytest
from nats.js.errors import NotFoundError

from hub.batches import Batch, Chunk, MetricBatch, MetricChunk
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.protocol import Lines, Samples, decode_lines, decode_samples, encode_batch, encode_samples
from hub.relay.batching import Shaping
from hub.relay.cursor import Cursor
from hub.relay.delivery import Delivery
from hub.relay.lanes import Budget, LaneKind
from hub.relay.progress import Progress
from hub.relay.push import current
from hub.relay.retry import Breaker
from hub.shaping.join import Joiner
from hub.shaping.rules import Filter, Join, Match, RateLimit, Rename, Shape
from hub.shaping.rules import Sample as SampleRule
from hub.shaping.shaper import Shaper
from tests.fixtures.relay import (
    DEVICE,
    PROJECT,
    STREAMING,
    Bench,
    Recorder,
    make_payload,
    make_rules,
    topic,
    until,
)


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last + 1)]


def payload(first: int, *messages: str) -> bytes:
    """Give a batch of these lines."""
    times = [1_700_000_000_000_000] * len(messages)
    return encode_batch(Lines(times, 14, "app", list(messages)), boot=1, first=first)


async def stored(bench: Bench, *payloads: bytes, to: str = "") -> None:
    messages = [bench.take(one, to) for one in payloads]
    await until(lambda: all(message.acked for message in messages))


async def ended(delivery: Delivery, running: "asyncio.Task[None]") -> None:
    delivery.stop()
    await running


# ── split, partly taken, joined ───────────────────────────────────────────────────────────────


async def test_a_change_in_the_middle_of_a_split_message_repeats_nothing(bench: Bench) -> None:
    await bench.store(1, 10)
    cursor, first = bench.cursor(), Recorder()
    first.plan = [None, Retry("busy", after=3600.0)]
    delivery = bench.delivery(first, rules=make_rules(max_lines=4), cursor=cursor)
    running = bench.start(delivery.run())
    await until(lambda: len(first.attempts) == 2)
    await ended(delivery, running)
    assert first.texts == texts(1, 4)
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor).run())
    await bench.store(11, 2)
    await until(lambda: second.texts == texts(5, 12))
    await until(bench.drained)


async def test_a_change_after_a_partial_batch_sends_what_was_left_and_nothing_else(
    bench: Bench,
) -> None:
    await bench.store(1, 3)
    await bench.store(4, 3)
    cursor, first = bench.cursor(), Recorder()
    first.plan = [Partial(rejected=[(5, "no")], retry=[1, 3], reason="busy", after=3600.0)]
    delivery = bench.delivery(first, cursor=cursor)
    running = bench.start(delivery.run())
    await until(lambda: b"retries_total{" in bench.metrics.render() and bool(first.attempts))
    await until(lambda: b'state="retrying"} 1.0' in bench.metrics.render())
    await ended(delivery, running)
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor).run())
    await bench.store(7, 1)
    await until(lambda: len(second.texts) == 3)
    assert second.texts == ["line 2", "line 4", "line 7"]
    await until(bench.drained)
    assert [decode_lines(letter).messages for _, _, letter in await bench.dead_letters()] == [
        ["line 6"]
    ]


async def test_a_change_of_the_filter_holds_for_what_comes_after_the_last_line_sent(
    bench: Bench,
) -> None:
    await stored(bench, payload(1, "keep 1", "drop 2", "keep 3", "keep 4", "drop 5"))
    keep = Shaping(Shaper(Shape(filter=Filter(include=(Match(text="keep"),)))))
    cursor, first = bench.cursor(), Recorder()
    first.plan = [None, Retry("busy", after=3600.0)]
    delivery = bench.delivery(first, rules=make_rules(max_lines=2), cursor=cursor, shaping=keep)
    running = bench.start(delivery.run())
    await until(lambda: len(first.attempts) == 2)
    await ended(delivery, running)
    assert first.texts == ["keep 1", "keep 3"]
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor).run())
    await until(lambda: second.texts == ["keep 4", "drop 5"])
    assert [line.id for line in second.batches[0]] == [f"{DEVICE}-app-1-4", f"{DEVICE}-app-1-5"]


def joining(wait: float) -> Shaping:
    return Shaping(joiner=lambda: Joiner(Join(continues=r"^\s", wait=wait)))


async def test_a_trace_that_came_in_two_batches_is_one_line(bench: Bench) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, shaping=joining(60.0)).run())
    await stored(bench, payload(1, "start", "Traceback", "  one"))
    await until(lambda: destination.texts == ["start"])
    assert not await bench.drained(), "the trace may go on: its message is not acknowledged"
    await stored(bench, payload(4, "  two", "next", "last"))
    await until(lambda: destination.texts == ["start", "Traceback\n  one\n  two", "next"])


async def test_a_trace_is_whole_though_the_integration_changed_in_its_middle(bench: Bench) -> None:
    cursor, first = bench.cursor(), Recorder()
    delivery = bench.delivery(first, cursor=cursor, shaping=joining(60.0))
    running = bench.start(delivery.run())
    await stored(bench, payload(1, "start", "Traceback", "  one"))
    await until(lambda: first.texts == ["start"])
    await ended(delivery, running)
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor, shaping=joining(60.0)).run())
    await stored(bench, payload(4, "  two", "next", "last"))
    await until(lambda: second.texts == ["Traceback\n  one\n  two", "next"])


async def test_a_held_line_goes_after_its_wait_and_holds_up_no_other_device(bench: Bench) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, shaping=joining(0.2)).run())
    await stored(bench, payload(1, "alone"))
    await stored(bench, payload(1, "other"), to=topic(device="dev_two"))
    await until(lambda: sorted(destination.texts) == ["alone", "other"])
    await until(bench.drained)


async def test_after_a_restart_held_lines_come_again_and_lines_that_went_do_not_hide(
    bench: Bench,
) -> None:
    """The process is gone, and with it the ledger: at least once, whole."""
    first = Recorder()
    running = bench.start(bench.delivery(first, shaping=joining(60.0)).run())
    await stored(bench, payload(1, "start", "Traceback", "  one"))
    await until(lambda: first.texts == ["start"])
    running.cancel()
    await asyncio.wait({running})
    second = Recorder()
    bench.start(bench.delivery(second, shaping=joining(60.0)).run())
    await stored(bench, payload(4, "  two", "next", "last"))
    await until(lambda: second.texts == ["start", "Traceback\n  one\n  two", "next"])


# ── waiting for a batch to fill ───────────────────────────────────────────────────────────────


async def test_a_batch_is_waited_for_until_it_is_full(bench: Bench) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, rules=make_rules(max_lines=4, linger=3600.0)).run())
    await bench.store(1, 3)
    await until(lambda: reads(bench, 1))
    assert destination.attempts == []
    assert not await bench.drained()
    await bench.store(4, 2)
    await until(lambda: destination.texts == texts(1, 4))


async def test_what_lingers_goes_when_its_time_is_over(bench: Bench) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, rules=make_rules(linger=0.2)).run())
    await bench.store(1, 3)
    await bench.store(4, 1)
    await until(lambda: destination.texts == texts(1, 4))
    assert len(destination.batches) == 1
    await until(bench.drained)


async def test_a_stop_does_not_wait_for_what_lingers_and_loses_none_of_it(bench: Bench) -> None:
    cursor, first = bench.cursor(), Recorder()
    rules = make_rules(linger=3600.0)
    delivery = bench.delivery(first, rules=rules, cursor=cursor)
    running = bench.start(delivery.run())
    await bench.store(1, 3)
    await until(lambda: reads(bench, 1))
    async with asyncio.timeout(5):
        await ended(delivery, running)
    assert first.attempts == []
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor).run())
    await until(lambda: second.texts == texts(1, 3))


async def reads(bench: Bench, messages: int) -> bool:
    try:
        info = await bench.nats.jetstream().consumer_info("RELAY_0", "int_one")
    except NotFoundError:
        return False
    return info.num_ack_pending == messages


# ── shaping ───────────────────────────────────────────────────────────────────────────────────


async def test_a_filter_leaves_out_before_and_after_decoding(bench: Bench) -> None:
    shape = Shape(filter=Filter(exclude=(Match(streams=("sys",)), Match(text="noise"))))
    left_out: dict[str, int] = {}
    shaping = Shaping(Shaper(shape), left_out=lambda step, n: left_out.update({step: n}))
    destination = Recorder()
    bench.start(bench.delivery(destination, shaping=shaping).run())
    await stored(bench, payload(1, "sys 1", "sys 2"), to=topic("sys"))
    await stored(bench, payload(1, "noise"), payload(2, "good", "noise", "fine"))
    await until(lambda: destination.texts == ["good", "fine"])
    await until(bench.drained)
    assert left_out == {"filter": 2}
    [batch] = destination.batches
    assert [line.id for line in batch] == [f"{DEVICE}-app-1-2", f"{DEVICE}-app-1-4"]


async def test_nothing_is_sent_where_nothing_passes(bench: Bench) -> None:
    destination = Recorder()
    shaping = Shaping(Shaper(Shape(sample=SampleRule(share=0.0))))
    bench.start(bench.delivery(destination, shaping=shaping).run())
    await stored(bench, *(payload(n, "x") for n in range(1, 200)))
    await until(bench.drained)
    assert destination.attempts == []
    assert destination.built == 0


async def test_groups_are_asked_for_and_waited_for(bench: Bench) -> None:
    shape = Shape(filter=Filter(include=(Match(groups=("pumps",)),)))
    destination = Recorder()
    bench.start(bench.delivery(destination, shaping=Shaping(Shaper(shape))).run())
    await stored(bench, payload(1, "from a pump"))
    await until(lambda: b'state="retrying"} 1.0' in bench.metrics.render())
    assert destination.attempts == [], "nobody knows the group: neither sent nor left out"
    bench.directory.hosts = {DEVICE: "pump-1"}
    bench.directory.groups = {DEVICE: "pumps"}
    bench.hosts.forget(PROJECT, DEVICE)
    await stored(bench, payload(1, "from another"), to=topic(device="dev_two"))
    await until(lambda: destination.texts == ["from a pump"])
    await until(bench.drained)


async def test_a_rate_limit_puts_off_and_a_change_does_not_wait_for_it(bench: Bench) -> None:
    slow = Shaping(Shaper(Shape(rate_limit=RateLimit(lines_per_second=0.001, burst=2))))
    cursor, first = bench.cursor(), Recorder()
    delivery = bench.delivery(first, rules=make_rules(max_lines=2), cursor=cursor, shaping=slow)
    running = bench.start(delivery.run())
    await bench.store(1, 4)
    await until(lambda: first.texts == texts(1, 2))
    async with asyncio.timeout(5):
        await ended(delivery, running)
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor).run())
    await until(lambda: second.texts == texts(3, 4))


async def test_lines_with_holes_between_them_die_in_letters_without(bench: Bench) -> None:
    await stored(bench, payload(1, "a", "noise", "b", "c"))
    shape = Shape(
        filter=Filter(exclude=(Match(text="noise"),)), labels={"env": "größe"},
        rename=Rename(hosts={DEVICE: "kitchen"}),
    )  # fmt: skip
    destination = Recorder()
    destination.plan = [Rejected("no such token")]
    bench.start(bench.delivery(destination, shaping=Shaping(Shaper(shape))).run())
    await until(bench.drained)
    letters = await bench.dead_letters()
    assert [decode_lines(letter).messages for _, _, letter in letters] == [["a"], ["b", "c"]]
    headers = [headers for _, headers, _ in letters]
    assert [h["Isaax-Batch"] for h in headers] == [f"{DEVICE}:app:1:1:1", f"{DEVICE}:app:1:3:2"]
    assert {h["Isaax-Labels"] for h in headers} == {'{"env": "gr\\u00f6\\u00dfe"}'}
    assert {h["Isaax-Host"] for h in headers} == {"kitchen"}


async def test_a_letter_with_more_labels_than_a_header_holds_stops_no_other(bench: Bench) -> None:
    """One that JetStream refuses for ever would hold up all letters, and the intake after them."""
    await bench.store(1, 2)
    labels = {f"label_{n}": "ü" * 1_000 for n in range(40)}
    destination = Recorder()
    destination.plan = [Rejected("no")]
    shaping = Shaping(Shaper(Shape(labels=labels)))
    bench.start(bench.delivery(destination, shaping=shaping).run())
    await until(bench.drained)
    await bench.dead.put(
        project="prj_two", source="intake", id="x", payload=b"x", reason="\U0001f600" * 900
    )
    letters = await bench.dead_letters()
    assert len(letters) == 2, "both are stored"
    kept = msgspec.json.decode(letters[0][1]["Isaax-Labels"])
    assert kept
    assert kept.items() < labels.items()


# ── metrics, and dead letters once more ───────────────────────────────────────────────────────


class MetricRecorder(Recorder):
    """Records the names of samples, and the texts of lines."""

    async def send(self, batch: Batch | MetricBatch) -> None:  # type: ignore[override]
        self.attempts.append(batch)  # type: ignore[arg-type]
        step = self.plan.pop(0) if self.plan else None
        if step is not None:
            raise step
        self.batches.append(batch)  # type: ignore[arg-type]
        for chunk in batch.chunks:
            match chunk:
                case MetricChunk():
                    self.texts += chunk.samples.name_column()
                case Chunk():
                    self.texts += chunk.lines.messages


def samples(first: int, *names: str) -> bytes:
    count = len(names)
    columns = Samples([1_700_000_000_000_000] * count, list(names), [1.0] * count)
    return encode_samples(columns, boot=1, first=first)


async def test_samples_are_cut_shaped_and_dead_like_lines(bench: Bench) -> None:
    to = topic().replace("log/app", "metric/cpu")
    await stored(bench, samples(1, "load", "secret", "idle"), samples(4, "busy"), to=to)
    shape = Shape(rename=Rename(metrics={"load": "cpu_load"}), labels={"env": "test"})
    destination = MetricRecorder()
    destination.plan = [None, Rejected("no")]
    cursor = bench.cursor(kind=LaneKind.METRICS)
    bench.start(
        bench.delivery(
            destination, rules=make_rules(max_lines=2), cursor=cursor,
            shaping=Shaping(Shaper(shape)),
        ).run()
    )  # fmt: skip
    await until(lambda: len(destination.attempts) == 2)
    assert destination.texts == ["cpu_load", "secret"]
    await until(lambda: cursor.ledger.until == 2)
    letters = await bench.dead_letters()
    assert [decode_samples(letter).name_column() for _, _, letter in letters] == [
        ["idle"], ["busy"],
    ]  # fmt: skip
    first = destination.batches[0].chunks[0]
    assert (first.stream, first.labels) == ("metric.cpu", {"env": "test"})


async def test_a_replay_delivers_letters_as_they_are_of_either_kind(bench: Bench) -> None:
    js = bench.nats.jetstream()
    letters = [
        (payload(7, "fixed"), f"{DEVICE}:app:1:7:1", {"Isaax-Labels": '{"env": "test"}'}),
        (samples(3, "load"), f"{DEVICE}:metric.cpu:1:3:1", {}),
        (payload(2, "older"), f"{DEVICE}:app:1:2:1", {"Isaax-Host": "Küche"}),
    ]
    for number, (body, batch, more) in enumerate(letters):
        headers = {"Nats-Msg-Id": f"replay:{number}", "Isaax-Batch": batch, **more}
        await js.publish(f"replay.{PROJECT}.int_one", body, headers=headers)
    destination = MetricRecorder()
    cursor = bench.cursor(kind=LaneKind.REPLAY)
    bench.start(bench.delivery(destination, cursor=cursor).run())
    await until(lambda: destination.texts == ["fixed", "load", "older"])
    chunks = [chunk for batch in destination.batches for chunk in batch.chunks]
    assert [chunk.ids()[0] for chunk in chunks] == [
        f"{DEVICE}-app-1-7", f"{DEVICE}-metric.cpu-1-3", f"{DEVICE}-app-1-2",
    ]  # fmt: skip
    assert chunks[0].labels == {"env": "test"}
    assert [chunk.host for chunk in chunks] == [DEVICE, DEVICE, "Küche"]


# ── trouble ───────────────────────────────────────────────────────────────────────────────────


async def test_an_open_circuit_holds_the_batch_in_hand_and_no_more(bench: Bench) -> None:
    for first in range(1, 30):
        await bench.store(first, 1)
    cursor, destination = bench.cursor(), Recorder()
    destination.plan = [Retry("down")] * 5
    breaker = Breaker(base=0.01, cap=0.6, threshold=2)
    bench.start(
        bench.delivery(
            destination, rules=make_rules(max_lines=3), cursor=cursor, breaker=breaker
        ).run()
    )
    await until(lambda: b'state="open"} 1.0' in bench.metrics.render())
    await until(lambda: not cursor.is_reading)
    assert cursor.held == 0
    await until(lambda: destination.texts == texts(1, 29))
    assert {batch.id for batch in destination.attempts[:6]} == {f"{DEVICE}-app-1-1-3"}
    await until(bench.drained)


async def test_a_partial_outcome_is_put_off_as_long_as_it_asks(bench: Bench) -> None:
    await bench.store(1, 2)
    destination = Recorder()
    destination.plan = [Partial(retry=[1], reason="the index is full", after=3600.0)]
    progress = Progress("int_one", bench.delivery_meters())
    delivery = bench.delivery(destination, progress=progress.lane("logs"))
    running = bench.start(delivery.run())
    await until(lambda: progress.status().error == "the index is full")
    assert progress.status().state == "retrying"
    assert progress.status().delivered == 1
    await ended(delivery, running)
    assert len(destination.attempts) == 1


async def test_one_that_takes_some_every_time_does_not_open_the_circuit(bench: Bench) -> None:
    await bench.store(1, 9)
    destination = Recorder()
    destination.plan = [Partial(retry=range(1, 9 - n)) for n in range(8)]
    breaker = Breaker(base=0.001, cap=3600.0, threshold=3)
    bench.start(bench.delivery(destination, breaker=breaker).run())
    await until(bench.drained)
    assert [len(batch) for batch in destination.attempts] == [9, 8, 7, 6, 5, 4, 3, 2, 1]


async def test_the_plugin_that_runs_is_known_in_its_calls_and_tasks(bench: Bench) -> None:
    names: list[str] = []

    class Curious(Recorder):
        async def send(self, batch: Batch) -> None:
            await asyncio.create_task(self._look())
            await super().send(batch)

        async def _look(self) -> None:
            names.append(current.get())

        async def wait_lost(self) -> None:
            await self._look()
            await super().wait_lost()

        async def close(self) -> None:
            await self._look()

    await bench.store(1, 1)
    delivery = bench.delivery(Curious(), rules=STREAMING)
    running = bench.start(delivery.run())
    await until(lambda: len(names) >= 2)
    await ended(delivery, running)
    assert set(names) == {"int_one"}
    assert len(names) >= 3
    assert current.get() == ""


async def test_a_stream_sends_nothing_twice_when_the_change_comes_in_a_split_message(
    bench: Bench,
) -> None:
    await bench.store(1, 10)
    cursor, first = bench.cursor(), Recorder()
    first.plan = [None, Retry("busy", after=3600.0)]
    rules = make_rules(max_lines=4, window=STREAMING.window)
    delivery = bench.delivery(first, rules=rules, cursor=cursor)
    running = bench.start(delivery.run())
    await until(lambda: len(first.attempts) == 2)
    await ended(delivery, running)  # it closed well: the first four lines arrived
    second = Recorder()
    second.plan = [NotConnected("not yet")]
    bench.start(bench.delivery(second, rules=rules, cursor=cursor).run())
    await until(lambda: second.texts == texts(5, 10))


# ── retention ─────────────────────────────────────────────────────────────────────────────────


async def test_lines_that_retention_took_are_counted_when_it_reads_on(bench: Bench) -> None:
    await bench.store(1, 2)
    cursor, first = bench.cursor(), Recorder()
    progress = Progress("int_one", bench.delivery_meters())
    delivery = bench.delivery(first, cursor=cursor, progress=progress.lane("logs"))
    running = bench.start(delivery.run())
    await until(lambda: first.texts == texts(1, 2))
    await ended(delivery, running)
    for n in range(3, 30, 3):
        await bench.store(n, 3)
        await bench.store(n - 2, 3, to=topic(project="prj_other", device="dev_other"))
    state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
    await bench.nats.jetstream().purge_stream("RELAY_0", seq=state.last_seq - 1)
    second = Recorder()
    bench.start(bench.delivery(second, cursor=cursor, progress=progress.lane("logs")).run())
    await until(lambda: second.texts == texts(27, 29))
    status = progress.status()
    assert status.gap_lines == 24
    assert "24 lines" in status.error


async def test_nothing_is_missing_where_nothing_was_taken(bench: Bench) -> None:
    cursor, destination = bench.cursor(), Recorder()
    progress = Progress("int_one", bench.delivery_meters())
    bench.start(bench.delivery(destination, cursor=cursor, progress=progress.lane("logs")).run())
    await bench.store(1, 2)
    bad = bench.take(make_payload(3, 2)[:-4])  # its place is kept by a dead letter
    await until(lambda: bad.acked)
    await bench.store(5, 2)
    await until(lambda: len(destination.texts) == 4)
    await bench.nats.jetstream().purge_stream("RELAY_0")
    await bench.store(7, 1)
    await until(lambda: len(destination.texts) == 5)
    assert progress.status().gap_lines == 0


async def test_a_cursor_that_starts_elsewhere_is_made_anew_once(bench: Bench) -> None:
    await bench.store(1, 3)

    async def delivered(start_at: int) -> list[str]:
        cursor = Cursor(bench.nats, bench.cursor(start_at=start_at).source)
        destination = Recorder()
        delivery = bench.delivery(destination, cursor=cursor)
        running = bench.start(delivery.run())
        await until(lambda: cursor.is_reading)
        await until(bench.drained)
        await ended(delivery, running)
        return destination.texts

    assert await delivered(1_000_000) == texts(1, 3)
    assert await delivered(1_000_000) == [], "the same start keeps the place"
    assert await delivered(2_000_000) == texts(1, 3), "another one is a replay from then"
    assert await delivered(2_000_000) == []
    assert await delivered(4_000_000_000_000_000) == [], "later than all that is stored"


@pytest.mark.parametrize("share", [1, 3])
def test_memory_is_shared_among_those_that_run(share: int) -> None:
    budget = Budget(300, 200)
    budget.running = share
    assert budget.share() == {1: 200, 3: 100}[share]
