"""Intake on a real NATS: what is stored, what is answered, what becomes a dead letter."""

import json

import pytest

from hub.protocol import (
    Codec,
    Lines,
    Mark,
    Samples,
    decode_header,
    decode_lines,
    decode_samples,
    encode_batch,
    encode_samples,
)
from hub.relay.marks import MarkKey
from tests.fixtures.relay import (
    DEVICE,
    PROJECT,
    Bench,
    Message,
    make_lines,
    make_payload,
    topic,
    until,
)

ACK_TOPIC = f"c/{PROJECT}/{DEVICE}/{'0' * 32}/ack"


def metric_topic(kind: str = "cpu") -> str:
    return topic().replace("log/app", f"metric/{kind}")


async def stored(bench: Bench, stream: str = "RELAY_0") -> list[tuple[str, dict[str, str], bytes]]:
    js = bench.nats.jetstream()
    state = (await js.stream_info(stream)).state
    messages = [await js.get_msg(stream, n) for n in range(1, state.last_seq + 1)]
    return [(m.subject or "", m.headers or {}, m.data or b"") for m in messages]


def answers(bench: Bench) -> list[dict[str, object]]:
    return [json.loads(payload) for payload in bench.answers.payloads]


async def test_a_batch_is_stored_as_it_came_and_acknowledged(bench: Bench) -> None:
    payload = make_payload(1, 3)
    message = bench.take(payload)
    assert not message.acked
    await until(lambda: message.acked)
    [(subject, headers, data)] = await stored(bench)
    assert subject == f"relay.0.{PROJECT}.log.app"
    assert headers["Nats-Msg-Id"] == f"{DEVICE}:app:1:1:3"
    assert int(headers["Isaax-Received"]) > 1_700_000_000_000_000
    assert data == payload
    [(to, _)] = bench.answers.sent
    assert to == ACK_TOPIC
    assert answers(bench) == [{"op": "ack", "stream": "app", "boot": 1, "seq": 3}]
    assert bench.marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 3)}


async def test_many_batches_are_one_commit_and_one_answer(bench: Bench) -> None:
    messages = [bench.take(make_payload(1 + 2 * n, 2)) for n in range(50)]
    await until(lambda: all(message.acked for message in messages))
    assert [decode_header(data).first for _, _, data in await stored(bench)] == list(
        range(1, 101, 2)
    )
    assert answers(bench) == [{"op": "ack", "stream": "app", "boot": 1, "seq": 100}]


async def test_a_known_batch_is_acknowledged_again_and_not_stored(bench: Bench) -> None:
    await bench.store(1, 3)
    again = bench.take(make_payload(1, 3))
    assert again.acked
    assert answers(bench)[-1] == {"op": "ack", "stream": "app", "boot": 1, "seq": 3}
    assert len(await stored(bench)) == 1


async def test_known_lines_are_cut_off(bench: Bench) -> None:
    await bench.store(1, 3)
    await bench.store(2, 5)
    _, _, data = (await stored(bench))[-1]
    assert decode_lines(data).messages == ["line 4", "line 5", "line 6"]
    assert decode_header(data).first == 4


async def test_a_hole_is_resumed_once(bench: Bench) -> None:
    await bench.store(1, 3)
    late = [bench.take(make_payload(7, 2)), bench.take(make_payload(9, 2))]
    assert all(message.acked for message in late)
    assert answers(bench)[1:] == [{"op": "resume", "stream": "app", "boot": 1, "seq": 3}]
    assert len(await stored(bench)) == 1


async def test_a_new_life_of_the_spool_starts_at_one(bench: Bench) -> None:
    await bench.store(1, 3)
    bench.take(make_payload(2, 1, boot=2))
    assert answers(bench)[-1] == {"op": "resume", "stream": "app", "boot": 1, "seq": 3}
    await bench.store(1, 1, boot=2)
    assert answers(bench)[-1] == {"op": "ack", "stream": "app", "boot": 2, "seq": 1}
    bench.take(make_payload(4, 1, boot=1))
    assert answers(bench)[-1] == {"op": "ack", "stream": "app", "boot": 2, "seq": 1}


async def test_the_json_form_is_stored_as_binary(bench: Bench) -> None:
    message = bench.take(b'{"v": 1, "boot": 1, "first": 1, "lines": ["hello"]}')
    await until(lambda: message.acked)
    [(_, _, data)] = await stored(bench)
    assert decode_lines(data).messages == ["hello"]


async def test_metrics_have_streams_of_their_own(bench: Bench) -> None:
    payload = encode_samples(Samples([1], "cpu_percent", [12.5]), boot=1, first=1)
    message = bench.take(payload, metric_topic())
    await until(lambda: message.acked)
    assert await stored(bench) == []
    [(subject, headers, data)] = await stored(bench, "METRIC_0")
    assert subject == f"metric.0.{PROJECT}.sample.cpu.{DEVICE}"
    assert headers["Nats-Msg-Id"] == f"{DEVICE}:metric.cpu:1:1:1"
    assert headers["Isaax-Line"] == "0"
    assert decode_samples(data).values == [12.5]
    assert answers(bench) == [{"op": "ack", "stream": "metric.cpu", "boot": 1, "seq": 1}]


async def test_known_samples_are_cut_off(bench: Bench) -> None:
    for first, count in ((1, 2), (2, 3)):
        samples = Samples([1] * count, "n", [float(n) for n in range(first, first + count)])
        message = bench.take(encode_samples(samples, boot=1, first=first), metric_topic())
        await until(lambda message=message: message.acked)
    _, _, data = (await stored(bench, "METRIC_0"))[-1]
    assert decode_samples(data).values == [3.0, 4.0]
    assert decode_header(data).first == 3


async def test_samples_in_the_json_form(bench: Bench) -> None:
    text = b'{"v":1,"boot":1,"first":1,"samples":[{"name":"a_celsius","value":20}]}'
    message = bench.take(text, metric_topic("device"))
    await until(lambda: message.acked)
    [(_, _, data)] = await stored(bench, "METRIC_0")
    assert decode_samples(data).name_column() == ["a_celsius"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "truncated"),
        (b"garbage", "truncated"),
        (b"\x09" + make_payload(1, 1)[1:], "unsupported-version"),
        (b"{not json", "bad-body"),
        (b'{"v":1,"boot":1,"first":1,"lines":["\xff"]}', "bad-body"),
        (b'{"v":1,"boot":1,"first":1,"more":' + b"[" * 100_000, "bad-body"),
        (b'{"v": 1, "boot": 0, "first": 1, "lines": ["x"]}', "bad-header"),
        (make_payload(1, 1)[:24] + bytes(600_000), "too-large"),
        (bytes(600_000), "too-large"),
    ],
    ids=[
        "empty",
        "garbage",
        "version",
        "json",
        "utf-8",
        "deep",
        "json-header",
        "large",
        "large-zeros",
    ],
)
async def test_garbage_is_a_dead_letter_and_stops_nothing(
    bench: Bench, payload: bytes, code: str
) -> None:
    message = bench.take(payload)
    await until(lambda: message.acked)
    [letter] = await bench.dead_letters()
    assert letter[0] == f"dead.{PROJECT}.intake"
    assert letter[1]["Isaax-Reason"].startswith(f"{code}:")
    assert letter[1]["Isaax-Device"] == DEVICE
    assert payload.startswith(letter[2])
    rejects = [answer for answer in answers(bench) if answer["op"] == "reject"]
    assert [(r["stream"], r["code"]) for r in rejects] == [("app", code)]
    assert f'isaax_intake_rejects_total{{code="{code}"}} 1.0'.encode() in bench.metrics.render()
    if not payload.startswith(b"\x01"):
        await bench.store(1, 2)


async def test_a_rejected_batch_keeps_its_place_over_a_restart(bench: Bench) -> None:
    await bench.store(1, 2)
    bad = bytearray(make_payload(3, 2))
    bad[1] = 7  # a codec that nobody knows
    message = bench.take(bytes(bad))
    await until(lambda: message.acked)
    assert answers(bench)[-2:] == [
        {
            "op": "reject", "stream": "app", "boot": 1, "first": 3,
            "code": "unsupported-codec", "detail": "codec 7; known are 0, 1 and 2",
        },
        {"op": "ack", "stream": "app", "boot": 1, "seq": 4},
    ]  # fmt: skip
    [(_, _, data)] = await bench.dead_letters()
    assert data == bytes(bad)
    subject, headers, data = (await stored(bench))[-1]
    assert (subject, data) == (f"relay.0.{PROJECT}.void.app", b"")
    assert headers["Nats-Msg-Id"] == f"{DEVICE}:app:1:3:2"
    await bench.store(5, 1)


async def test_an_overlapping_batch_that_cannot_be_read_is_a_dead_letter(bench: Bench) -> None:
    await bench.store(1, 2)
    bad = make_payload(2, 3)[:-3]
    message = bench.take(bad)
    await until(lambda: message.acked)
    assert bench.marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 4)}
    assert [data for _, _, data in await bench.dead_letters()] == [bad]


async def test_lost_lines_stay_visible_when_their_batch_is_cut(bench: Bench) -> None:
    await bench.store(1, 2)
    lines = Lines([1], 14, "isaax-agent", ["9 lines missing"])
    message = bench.take(encode_batch(lines, boot=1, first=1, span=9))
    await until(lambda: message.acked)
    _, _, data = (await stored(bench))[-1]
    header = decode_header(data)
    assert (header.first, header.span) == (3, 7)
    assert decode_lines(data).messages == ["9 lines missing"]


@pytest.mark.parametrize(
    "to",
    [
        "d/prj_one/dev_one/s/log/nonsense",
        "d/prj_one/dev_one/s/log/app/more",
        "d/prj_one",
        "d/" + "x" * 100 + "/a/b/log/app",
        "d/a.b/>/*/log/app",
        "",
    ],
)
async def test_an_unknown_topic_is_a_dead_letter(bench: Bench, to: str) -> None:
    message = Message(to, b"what")
    bench.intake.accept(message)
    await until(lambda: message.acked)
    [(subject, headers, data)] = await bench.dead_letters()
    assert subject in {f"dead.{PROJECT}.intake", "dead.unknown.intake"} or "x" * 100 in subject
    assert headers["Isaax-Reason"].startswith("unknown-topic")
    assert data == b"what"


async def test_state_and_replies_are_left_to_others(bench: Bench) -> None:
    message = bench.take(b"{}", topic().replace("log/app", "state"))
    assert message.acked
    assert bench.answers.sent == []


async def test_zstd_and_plain_bodies_are_cut_too(bench: Bench) -> None:
    for stream, codec in (("app", Codec.ZSTD), ("sys", Codec.NONE)):
        await bench.store(1, 1, to=topic(stream))
        message = bench.take(
            encode_batch(make_lines(1, 2), boot=1, first=1, codec=codec), topic(stream)
        )
        await until(lambda message=message: message.acked)
        _, _, data = (await stored(bench))[-1]
        assert decode_header(data).codec == codec
        assert decode_lines(data).messages == ["line 2"]


async def test_answers_go_to_the_session_that_spoke_last(bench: Bench) -> None:
    first = bench.take(make_payload(1, 1))
    newer = topic().replace("0" * 32, "1" * 32)
    second = bench.take(make_payload(1, 1), newer)
    await until(lambda: first.acked and second.acked)
    assert {to for to, _ in bench.answers.sent} == {ACK_TOPIC.replace("0" * 32, "1" * 32)}
    assert bench.marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 1)}
    assert MarkKey(PROJECT, DEVICE, "app") in bench.marks.take_changed()
