"""NATS is killed and comes back, late or soon: every line once in the stream, in order."""

import asyncio
import json
import os
import random
import signal

import pytest

from hub.embedded.nats import Nats
from hub.protocol import decode_header
from tests.fixtures.relay import STREAMING, Bench, Message, Recorder, make_payload, until


async def stored(bench: Bench) -> list[tuple[int, int]]:
    """Give first and last of each stored batch."""
    js = bench.nats.jetstream()
    state = (await js.stream_info("RELAY_0")).state
    spans = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await js.get_msg("RELAY_0", sequence)
        header = decode_header(message.data or b"")
        spans.append((header.first, header.last))
    return spans


def acknowledged(bench: Bench) -> int:
    """Give the highest sequence number that was acknowledged."""
    answers = [json.loads(payload) for payload in bench.answers.payloads]
    return max((answer["seq"] for answer in answers if answer["op"] == "ack"), default=0)


async def send(bench: Bench, last: int) -> list[Message]:
    """Send single lines up to `last`, as fast as the loop turns."""
    messages = []
    for n in range(1, last + 1):
        messages.append(bench.take(make_payload(n, 1)))
        await asyncio.sleep(0.001)
    return messages


@pytest.mark.parametrize("seed", [1, 2])
async def test_nats_is_killed_while_publishing(bench: Bench, relay_nats: Nats, seed: int) -> None:
    dice = random.Random(seed)
    sending = asyncio.ensure_future(send(bench, 800))
    for _ in range(2):
        await asyncio.sleep(dice.uniform(0.05, 0.3))
        relay_nats.kill()
        promised = acknowledged(bench)
        await relay_nats.restart()
        await until(lambda: bench.nats.is_connected)
        spans = await stored(bench)
        assert promised <= (spans[-1][1] if spans else 0), "what was acknowledged was synced"
    messages = await sending
    await until(lambda: all(message.acked for message in messages), 60)
    assert await stored(bench) == [(n, n) for n in range(1, 801)]
    assert acknowledged(bench) == 800


async def test_nats_answers_slowly(bench: Bench, relay_nats: Nats) -> None:
    pid = relay_nats.child.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        messages = [bench.take(make_payload(n, 1)) for n in range(1, 101)]
        await asyncio.sleep(6)  # longer than an acknowledgement is waited for
        assert not any(message.acked for message in messages)
        assert bench.answers.sent == []
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(lambda: all(message.acked for message in messages), 60)
    assert await stored(bench) == [(n, n) for n in range(1, 101)]


async def test_nats_is_killed_while_delivering(bench: Bench, relay_nats: Nats) -> None:
    answering, streaming = Recorder(), Recorder()
    bench.start(bench.delivery(answering, "int_answers").run())
    bench.start(bench.delivery(streaming, "int_streams", rules=STREAMING).run())
    for n in range(1, 51):
        await bench.store(n, 1)
    await until(lambda: len(answering.texts) == len(streaming.texts) == 50)
    relay_nats.kill()
    await relay_nats.restart()
    await until(lambda: bench.nats.is_connected)
    for n in range(51, 101):
        message = bench.take(make_payload(n, 1))
        await until(lambda message=message: message.acked, 60)
    expected = [f"line {n}" for n in range(1, 101)]
    await until(lambda: len(answering.texts) >= 100 and len(streaming.texts) >= 100, 60)
    assert answering.texts == expected, "what it took before the crash is not sent again"
    assert streaming.texts == expected, "its connection stood: nothing is sent again"


async def test_the_relay_starts_again_in_the_middle(bench: Bench) -> None:
    first = Recorder()
    delivery = bench.start(bench.delivery(first, rules=STREAMING).run())
    for n in range(1, 201):
        await bench.store(n, 1)
    await until(lambda: len(first.texts) == 200)
    delivery.cancel()  # as a crash: nothing is closed in good order
    await asyncio.gather(delivery, return_exceptions=True)
    again = Recorder()
    bench.start(bench.delivery(again, rules=STREAMING).run())
    bench.begin(bench.marks, bench.counts, {"RELAY_0": 200})
    bench.start(bench.writer.run())
    await bench.store(201, 1)
    await until(lambda: "line 201" in again.texts)
    start = 202 - len(again.texts)
    assert again.texts == [f"line {n}" for n in range(start, 202)]
    assert start <= 201
