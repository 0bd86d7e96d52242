"""Delivery on a real NATS, to destinations that do as they please."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import pytest

from hub.batches import Batch
from hub.destinations import Window
from hub.embedded.nats import Nats
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.protocol import Codec, Lines, decode_lines, encode_batch
from hub.relay.retry import Breaker
from tests.fixtures.relay import (
    PROJECT,
    RULES,
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


async def test_lines_arrive_once_in_order_with_all_that_is_known(bench: Bench) -> None:
    await bench.store(1, 3)
    destination = Recorder()
    bench.start(bench.delivery(destination).run())
    await until(lambda: len(destination.texts) == 3)
    await bench.store(4, 2)
    await bench.store(1, 2, to=topic("sys"))
    await until(lambda: len(destination.texts) == 7)
    assert destination.texts == [*texts(1, 5), *texts(1, 2)]
    [chunk] = destination.batches[0].chunks
    assert (chunk.project, chunk.device, chunk.host, chunk.stream) == (
        PROJECT, "dev_one", "dev_one", "app",
    )  # fmt: skip
    assert (chunk.boot, chunk.first) == (1, 1)
    assert chunk.received > 1_700_000_000_000_000
    assert destination.batches[0].id == "dev_one-app-1-1-3"
    await until(bench.drained)


async def test_only_its_own_project_and_no_metrics(bench: Bench) -> None:
    await bench.store(1, 1)
    await bench.store(1, 1, to=topic(project="prj_other", device="dev_other"))
    await bench.store(1, 1, to=topic().replace("log/app", "metric/cpu"))
    await bench.store(2, 1)
    destination = Recorder()
    bench.start(bench.delivery(destination).run())
    await until(lambda: len(destination.texts) == 2)
    await until(bench.drained)
    assert destination.texts == texts(1, 2)


async def test_batches_are_cut_to_the_destinations_size(bench: Bench) -> None:
    await bench.store(1, 10)
    await bench.store(11, 3)
    destination = Recorder()
    rules = make_rules(max_lines=4)
    bench.start(bench.delivery(destination, rules=rules).run())
    await until(lambda: len(destination.texts) == 13)
    assert [len(batch) for batch in destination.batches] == [4, 4, 4, 1]
    assert [batch.id for batch in destination.batches][:3] == [
        "dev_one-app-1-1-4", "dev_one-app-1-5-4", "dev_one-app-1-9-4",
    ]  # fmt: skip
    assert destination.texts == texts(1, 13)
    await until(bench.drained)


async def test_retry_sends_the_same_batch_until_it_is_taken(bench: Bench) -> None:
    await bench.store(1, 3)
    destination = Recorder()
    destination.plan = [Retry("busy"), Retry("busy", after=0.01), RuntimeError("secret"), None]
    bench.start(bench.delivery(destination).run())
    await until(lambda: destination.texts == texts(1, 3))
    assert {batch.id for batch in destination.attempts} == {"dev_one-app-1-1-3"}
    assert destination.built == 2, "what raised the unexpected is replaced"
    assert destination.closed == 1


async def test_rejected_lines_are_dead_letters_and_the_rest_goes_on(bench: Bench) -> None:
    await bench.store(1, 2)
    destination = Recorder()
    destination.plan = [Rejected("no such token")]
    bench.start(bench.delivery(destination).run())
    await until(bench.drained)
    await bench.store(3, 1)
    await until(lambda: destination.texts == ["line 3"])
    [(subject, headers, payload)] = await bench.dead_letters()
    assert subject == f"dead.{PROJECT}.int_one"
    assert headers["Isaax-Reason"] == "no such token"
    assert headers["Nats-Msg-Id"] == "int_one:1000000:dev_one:app:1:1:2"
    assert decode_lines(payload).messages == texts(1, 2)


async def test_one_that_refuses_everything_is_probed_and_not_fed(bench: Bench) -> None:
    """With a wrong token lines wait in the stream; they are not all made dead letters."""
    for number in range(1, 31):
        await bench.store(number, 1)
    destination = Recorder()
    destination.plan = [Rejected("no such token")] * 30
    breaker = Breaker(base=0.0, cap=2_000.0, threshold=1)
    bench.start(bench.delivery(destination, rules=make_rules(1), breaker=breaker).run())
    rendered = b'isaax_delivery_state{integration="int_one",state="open"} 1.0'
    await until(lambda: rendered in bench.metrics.render())
    assert len(destination.attempts) == len(await bench.dead_letters()) == 10


async def test_one_that_takes_a_batch_now_and_then_is_fed(bench: Bench) -> None:
    for number in range(1, 31):
        await bench.store(number, 1)
    destination = Recorder()
    destination.plan = ([Rejected("odd")] * 9 + [None]) * 3
    bench.start(bench.delivery(destination, rules=make_rules(1)).run())
    await until(bench.drained)
    assert destination.texts == ["line 10", "line 20", "line 30"]


async def test_of_a_partial_batch_some_are_dead_and_some_come_again(bench: Bench) -> None:
    await bench.store(1, 6)
    destination = Recorder()
    destination.plan = [Partial(rejected=[(0, "too old"), (99, "lies")], retry=[2, 3, 5, 0, 77])]
    bench.start(bench.delivery(destination).run())
    await until(lambda: len(destination.texts) == 3)
    assert destination.texts == ["line 3", "line 4", "line 6"]
    assert [list(chunk.numbers()) for chunk in destination.batches[0].chunks] == [[3, 4, 6]]
    assert [line.id for line in destination.batches[0]] == [
        "dev_one-app-1-3", "dev_one-app-1-4", "dev_one-app-1-6",
    ]  # fmt: skip
    [(_, headers, payload)] = await bench.dead_letters()
    assert headers["Isaax-Reason"] == "too old"
    assert decode_lines(payload).messages == ["line 1"]
    await until(bench.drained)


async def test_a_batch_that_cannot_be_decoded_is_a_dead_letter(bench: Bench) -> None:
    await bench.store(1, 1)
    bad = make_payload(2, 2)[:-4]
    message = bench.take(bad)
    await until(lambda: message.acked)
    await bench.nats.jetstream().publish(f"relay.0.{PROJECT}.log.app", b"\x01 no id")
    await bench.store(4, 1)
    destination = Recorder()
    bench.start(bench.delivery(destination).run())
    await until(lambda: len(destination.texts) == 2)
    assert destination.texts == ["line 1", "line 4"]
    assert [payload for _, _, payload in await bench.dead_letters()] == [bad, b"\x01 no id"]
    await until(bench.drained)


# ── destinations that never answer ────────────────────────────────────────────────────────────


async def test_what_is_unconfirmed_comes_again_after_a_reset_and_nothing_else(
    bench: Bench,
) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, rules=STREAMING).run())
    for first in range(1, 301, 10):  # a window of 1,000 bytes holds about 13 batches
        await bench.store(first, 10)
    await until(lambda: len(destination.texts) == 300)
    destination.lost.set()
    await until(lambda: len(destination.texts) > 300 and destination.texts[-1] == "line 300")
    again = destination.texts[300:]
    assert again == texts(300 - len(again) + 1, 300), "in order, up to the end, from one place on"
    assert 1_000 <= sum(map(len, again)) < 1_300, "the window, and the batch that reached over it"


async def test_a_reset_noticed_by_the_send_loses_nothing(bench: Bench) -> None:
    destination = Recorder()
    bench.start(bench.delivery(destination, rules=STREAMING).run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    destination.plan = [NotConnected("reset"), NotConnected("refused"), None]
    await bench.store(4, 2)
    await until(lambda: len(destination.texts) == 8)
    assert destination.texts == [*texts(1, 3), *texts(1, 5)]
    assert destination.built == 1, "it connects again by itself"


async def test_age_confirms(bench: Bench) -> None:
    destination = Recorder()
    rules = make_rules(window=Window(size=1 << 20, age=0.2))
    bench.start(bench.delivery(destination, rules=rules).run())
    await bench.store(1, 3)
    await until(bench.drained)
    destination.lost.set()
    await bench.store(4, 1)
    await until(lambda: "line 4" in destination.texts)
    assert destination.texts == texts(1, 4)


async def test_what_was_lost_while_nobody_looked_is_not_confirmed_by_its_age(
    bench: Bench, relay_nats: Nats
) -> None:
    """NATS is away; meanwhile the connection is lost, and what it carried comes of age."""
    destination = Recorder()
    rules = make_rules(window=Window(size=1 << 20, age=1.0))
    bench.start(bench.delivery(destination, rules=rules).run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    written = time.monotonic()
    await relay_nats.stop()
    await until(lambda: b'state="retrying"} 1.0' in bench.metrics.render())
    destination.lost.set()
    await until(lambda: time.monotonic() > written + 1.0)
    await relay_nats.start()
    await until(lambda: destination.texts == [*texts(1, 3), *texts(1, 3)])


@pytest.mark.parametrize("streams", [True, False])
async def test_a_batch_that_cannot_be_decoded_needs_no_destination(
    bench: Bench, *, streams: bool
) -> None:
    message = bench.take(make_payload(1, 2)[:-4])
    await until(lambda: message.acked)
    destination = Recorder()
    rules = STREAMING if streams else RULES
    bench.start(bench.delivery(destination, rules=rules).run())
    await until(bench.drained)
    assert len(await bench.dead_letters()) == 1
    assert b'isaax_delivery_retries_total{integration="int_one"} 0.0' in bench.metrics.render()
    assert destination.built == 0


async def test_a_peer_that_closes_idle_connections_is_not_sent_the_same_for_ever(
    bench: Bench,
) -> None:
    class Impatient(Recorder):
        async def wait_lost(self) -> None:
            await asyncio.sleep(0.1)

    destination = Impatient()
    rules = make_rules(window=Window(size=1 << 20, age=0.4))
    bench.start(bench.delivery(destination, rules=rules).run())
    await bench.store(1, 1)
    await until(bench.drained)
    assert 1 < len(destination.texts) < 8


async def test_closing_well_confirms_everything(bench: Bench) -> None:
    destination = Recorder()
    delivery = bench.delivery(destination, rules=STREAMING)
    running = bench.start(delivery.run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    delivery.stop()
    await running
    assert destination.closed == 1
    assert await bench.drained()
    again = Recorder()
    bench.start(bench.delivery(again, rules=STREAMING).run())
    await bench.store(4, 1)
    await until(lambda: again.texts == ["line 4"])


async def test_closing_badly_confirms_nothing(bench: Bench) -> None:
    destination = Recorder()
    destination.close_error = OSError("reset while closing")
    delivery = bench.delivery(destination, rules=STREAMING)
    running = bench.start(delivery.run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    delivery.stop()
    await running
    again = Recorder()
    bench.start(bench.delivery(again, rules=STREAMING).run())
    await until(lambda: again.texts == texts(1, 3))


async def test_what_was_written_before_an_end_by_force_comes_again(bench: Bench) -> None:
    """Whoever ends a delivery does not wait for ever for a destination that does not close."""

    class NeverCloses(Recorder):
        async def close(self) -> None:
            self.closed += 1
            await asyncio.Event().wait()

    cursor = bench.cursor()
    destination = NeverCloses()
    delivery = bench.delivery(destination, rules=STREAMING, cursor=cursor)
    running = bench.start(delivery.run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    delivery.stop()
    await until(lambda: destination.closed == 1)
    running.cancel()
    await asyncio.wait({running})
    again = Recorder()
    bench.start(bench.delivery(again, rules=STREAMING, cursor=cursor).run())
    await until(lambda: again.texts == texts(1, 3))


async def test_closing_after_a_loss_confirms_nothing(bench: Bench) -> None:
    destination = Recorder()
    delivery = bench.delivery(
        destination, rules=STREAMING, breaker=Breaker(base=60.0, cap=60.0, threshold=1)
    )
    running = bench.start(delivery.run())
    await bench.store(1, 3)
    await until(lambda: len(destination.texts) == 3)
    destination.plan = [NotConnected("reset")]
    await bench.store(4, 1)
    await until(lambda: len(destination.attempts) == 2)
    delivery.stop()
    await running
    again = Recorder()
    bench.start(bench.delivery(again, rules=STREAMING).run())
    await until(lambda: again.texts == texts(1, 4))


# ── destinations that misbehave, beside one that does not ─────────────────────────────────────


class Stalls(Recorder):
    """Never answers."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        await asyncio.Event().wait()


class IgnoresCancellation(Recorder):
    """Never answers, and does not let itself be stopped."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        give_up = time.monotonic() + 2
        while time.monotonic() < give_up:
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                continue


class Exits(Recorder):
    """Tries to end the process."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        raise SystemExit(3)


class CancelsItself(Recorder):
    """Raises what only its caller may."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        raise asyncio.CancelledError


class Refuses(Recorder):
    """Is never there."""

    async def send(self, batch: Batch) -> None:
        self.attempts.append(batch)
        raise NotConnected("connection refused")


class CannotBeBuilt(Recorder):
    """Fails before it starts."""

    def build(self):  # type: ignore[no-untyped-def]
        self.attempts.append(Batch("", ()))
        raise RuntimeError("no")


@pytest.mark.parametrize("window", [None, STREAMING.window], ids=["answers", "streams"])
@pytest.mark.parametrize(
    "bad", [Stalls, IgnoresCancellation, Exits, CancelsItself, Refuses, CannotBeBuilt]
)
async def test_one_that_misbehaves_holds_up_no_other(
    bench: Bench, bad: type[Recorder], window: Window | None
) -> None:
    rules = make_rules(timeout=0.05, window=window)
    culprit, good = bad(), Recorder()
    bench.start(bench.delivery(culprit, "int_bad", rules=rules).run())
    bench.start(bench.delivery(good, "int_good").run())
    for first in range(1, 101, 10):
        await bench.store(first, 10)
    await until(lambda: len(good.texts) == 100)
    assert good.texts == texts(1, 100)
    await until(lambda: len(culprit.attempts) > 1)
    info = await bench.nats.jetstream().consumer_info("RELAY_0", "int_bad")
    assert info.ack_floor is None or info.ack_floor.stream_seq == 0


async def test_breaker_opens_and_closes(bench: Bench) -> None:
    destination = Recorder()
    destination.plan = [Retry("down")] * 4
    delivery = bench.delivery(destination, breaker=Breaker(base=0.01, cap=0.2, threshold=3))
    bench.start(delivery.run())
    await bench.store(1, 1)
    rendered = b'isaax_delivery_state{integration="int_one",state="open"} 1.0'
    await until(lambda: rendered in bench.metrics.render())
    await until(lambda: destination.texts == ["line 1"])
    assert b'isaax_delivery_retries_total{integration="int_one"} 4.0' in bench.metrics.render()
    await until(lambda: rendered not in bench.metrics.render())


async def test_what_is_held_ahead_is_bounded(bench: Bench) -> None:
    size = 100_000
    messages = []
    for n in range(1, 61):
        lines = Lines([1], 14, "app", [secrets.token_hex(size // 2)])
        messages.append(bench.take(encode_batch(lines, boot=1, first=n, codec=Codec.NONE)))
    await until(lambda: all(message.acked for message in messages))
    destination = Stalls()
    rules = make_rules(1, 1 << 20, 60.0, memory=0)  # as little memory as it can work with
    bench.start(bench.delivery(destination, rules=rules).run())
    await until(lambda: len(destination.attempts) == 1)

    async def read() -> int:
        info = await bench.nats.jetstream().consumer_info("RELAY_0", "int_one")
        return info.delivered.stream_seq if info.delivered else 0

    await until(lambda: _settled(read))
    assert 1 <= await read() * size < 3 * 1024 * 1024


async def _settled(read: Callable[[], Awaitable[int]]) -> bool:
    """Say whether nothing was read for a while."""
    before = await read()
    await asyncio.sleep(0.2)
    return 0 < before == await read()


async def test_it_stops_at_once_when_there_is_nothing_to_do(bench: Bench) -> None:
    delivery = bench.delivery(Recorder())
    running = bench.start(delivery.run())
    await until(lambda: b'state="waiting"} 1.0' in bench.metrics.render())
    delivery.stop()
    await running
    assert b'state="waiting"} 1.0' in bench.metrics.render()
