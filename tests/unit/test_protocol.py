"""The wire: what is encoded comes back, and whatever else comes is refused by its name."""

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    MAX_LINES,
    MAX_PAYLOAD_BYTES,
    Codec,
    Header,
    Lines,
    ProtocolError,
    decode_header,
    decode_lines,
    decode_reply,
    decode_scripts,
    encode_batch,
    hello_proof,
    is_json,
    json_to_binary,
    parse_device_topic,
    read_position,
    register_proof,
    renumber,
)

PAGE = (Path(__file__).parents[2] / "docs/protocol.md").read_text()


@st.composite
def some_lines(draw: st.DrawFn) -> Lines:
    messages = draw(st.lists(st.text(), min_size=1, max_size=20))
    count = len(messages)
    times = draw(st.lists(st.integers(0, 2**53), min_size=count, max_size=count))
    priority = st.integers(0, 191)
    priorities = draw(priority | st.lists(priority, min_size=count, max_size=count))
    programs = draw(st.text() | st.lists(st.text(), min_size=count, max_size=count))
    return Lines(times, priorities, programs, messages)


positions = st.integers(1, 2**62)


@given(some_lines(), positions, positions, st.sampled_from(Codec), st.integers(0, 1000))
def test_a_batch_comes_back_as_it_was(
    lines: Lines, boot: int, first: int, codec: Codec, lost: int
) -> None:
    payload = encode_batch(lines, boot=boot, first=first, span=len(lines) + lost, codec=codec)
    assert decode_header(payload) == Header(codec, boot, first, len(lines) + lost)
    assert decode_lines(payload) == lines
    other = renumber(payload, boot=boot + 1, first=first + 1)
    assert decode_header(other) == Header(codec, boot + 1, first + 1, len(lines) + lost)
    assert decode_lines(other) == lines


def refusal(reading: Callable[[bytes], object], payload: bytes) -> str:
    """Give the code that a payload is refused with, or "" when it is taken."""
    try:
        reading(payload)
    except ProtocolError as error:
        return error.code
    return ""


@given(st.binary(max_size=300))
def test_garbage_is_refused_by_its_name(payload: bytes) -> None:
    """Nothing but ProtocolError comes out, with a code that the page lists."""
    for reading in (decode_header, decode_lines, lambda data: json_to_binary(data, now=0)):
        code = refusal(reading, payload)
        assert not code or f"`{code}`" in PAGE
    read_position(payload)


@given(some_lines(), st.sampled_from(Codec), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_batch_is_refused_or_still_a_batch(
    lines: Lines, codec: Codec, at: int, value: int
) -> None:
    payload = bytearray(encode_batch(lines, boot=1, first=1, codec=codec))
    payload[at % len(payload)] = value
    for cut in (len(payload), at % len(payload)):
        part = bytes(payload[:cut])
        assert refusal(decode_lines, part) or len(decode_lines(part)) <= MAX_LINES


HEAD = encode_batch(Lines([1], 14, "a", ["b"]), boot=1, first=1, codec=Codec.NONE)[:HEADER_BYTES]


def with_codec(codec: Codec, body: bytes) -> bytes:
    return bytes([1, codec]) + HEAD[2:] + body


BOMB = b"\0" * (MAX_BODY_BYTES + 1)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (with_codec(Codec.ZLIB, zlib.compress(BOMB)), "too-large"),
        (with_codec(Codec.ZSTD, zstandard.compress(BOMB)), "too-large"),
        (with_codec(Codec.ZSTD, zstandard.ZstdCompressor(write_content_size=False).compress(BOMB)),
         "too-large"),
        (b"\1" * (MAX_PAYLOAD_BYTES + 1), "too-large"),
        (HEAD, "truncated"),
        (with_codec(Codec.ZLIB, zlib.compress(b"x")[:-3]), "truncated"),
        (b"\2" + HEAD[1:] + b"x", "unsupported-version"),
        (b"\1\7" + HEAD[2:] + b"x", "unsupported-codec"),
        (HEAD[:4] + b"\0\0\0\0" + HEAD[8:] + b"x", "bad-header"),
        (HEAD[:8] + b"\xff" * 8 + HEAD[16:] + b"x", "bad-header"),
        (with_codec(Codec.NONE, b"\xc1"), "bad-body"),
        (with_codec(Codec.NONE, msgspec.msgpack.encode([[1], 14, "a", [b"\xff"]])), "bad-body"),
        (with_codec(Codec.NONE, b"\x94\x91\x01\x0e\xa1a\x91\xa1\xff"), "bad-body"),
        (with_codec(Codec.NONE, msgspec.msgpack.encode([[1, 2], 14, "a", ["b"]])), "bad-body"),
        (with_codec(Codec.NONE, msgspec.msgpack.encode([[1], 192, "a", ["b"]])), "bad-body"),
        (with_codec(Codec.NONE, msgspec.msgpack.encode([[], 14, "a", []])), "bad-body"),
        (with_codec(Codec.NONE, msgspec.msgpack.encode([[1, 2], 14, "a", ["b", "c"]])), "bad-body"),
    ],
)  # fmt: skip
def test_each_fault_has_its_code(payload: bytes, code: str) -> None:
    """A bomb is not unpacked, invalid UTF-8 is not guessed at, a lie about lengths is found."""
    with pytest.raises(ProtocolError) as refused:
        decode_lines(payload)
    assert refused.value.code == code


def test_the_example_of_the_page_is_right() -> None:
    """Who checks a client against it must be able to trust it."""
    example = re.search(r"`(01 00 0000 [0-9a-f ]+)`", PAGE)
    assert example
    lines = Lines([1, 2], 14, "app", ["a", "b"])
    payload = encode_batch(lines, boot=1, first=1, codec=Codec.NONE)
    assert bytes.fromhex(example[1]) == payload


def test_the_json_form() -> None:
    """Strings and objects, defaults, members that nobody knows."""
    payload = (
        b'{"v":1,"boot":2,"first":5,"span":9,"new":1,'
        b'"lines":["one",{"message":"two","time":7,"priority":3,"program":"p","x":0}]}'
    )
    assert is_json(payload)
    binary = json_to_binary(payload, now=99)
    assert decode_header(binary) == Header(Codec.ZLIB, 2, 5, 9)
    assert decode_lines(binary) == Lines([99, 7], [14, 3], ["app", "p"], ["one", "two"])
    broken = payload.replace(b'"two"', b"2")
    with pytest.raises(ProtocolError, match=r"bad-body.*lines\[1\]"):
        json_to_binary(broken, now=99)
    place = read_position(broken)
    assert place is not None
    assert (place.boot, place.first, place.span) == (2, 5, 9)


@pytest.mark.parametrize(
    "topic",
    [
        "d/p/d1/s/log/app/x", "d/p/d1/s/log/other", "d/p/d1/s/metric/app", "d/p/d1/s",
        "d/p//s/log/app", "d/p/d+/s/log/app", "c/p/d1/s/ack", "d/p/d1/s/state/x", "", "d/" * 90,
        "d/p/d1/s/reply/", "d/p/d1/s/reply/a b", "d/p/d1/s/reply/" + "a" * 65,
    ],
)  # fmt: skip
def test_unknown_topics(topic: str) -> None:
    """Only what the page lists is a topic."""
    with pytest.raises(ProtocolError) as refused:
        parse_device_topic(topic)
    assert refused.value.code == "unknown-topic"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": 1 << 31}, {"code": "0"}, {"error": "x" * 501}, {"output": "x" * 65_537},
        {"ran": {"moment": "pre-install", "version": 1, "at": 253_370_764_800}},
        {"ran": {"moment": "pre-install", "version": -1, "at": 0}},
        {"ran": {"moment": "x" * 65, "version": 1, "at": 0}}, {"ran": {}},
    ],
)  # fmt: skip
def test_a_reply_that_could_not_be_kept_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="bad-body"):
        decode_reply(msgspec.json.encode({"status": "ended", **wrong}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": -1}, {"version": 1 << 53}, {"scripts": None},
        {"scripts": [{"moment": "pre-install", "version": 1, "body": "x"}]},
        {"scripts": [{"moment": "pre-install", "version": 1, "body": "x", "timeout": 0}]},
    ],
)  # fmt: skip
def test_scripts_that_cannot_be_run_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="bad-body"):
        decode_scripts(msgspec.json.encode({"version": 1, "scripts": [], **wrong}))


def test_known_topics() -> None:
    """Each kind, taken apart."""
    parsed = parse_device_topic("d/prj_1/dev_1/ab12/metric/cpu")
    assert (parsed.session.project, parsed.session.device) == ("prj_1", "dev_1")
    assert (parsed.session.id, parsed.kind, parsed.name) == ("ab12", "metric", "cpu")
    assert parse_device_topic("d/p/d/s/state").name == ""
    assert parse_device_topic("d/p/d/s/reply/c1").kind == "reply"


def test_proofs_depend_on_everything() -> None:
    """No part of a proof can be exchanged, and none runs over into the next."""
    hello = ("00" * 32, "prj", "dev", "nonce", "connection", "previous")
    proofs = {hello_proof(*hello)}
    for index in range(1, len(hello)):
        proofs.add(hello_proof(*(part + "x" * (n == index) for n, part in enumerate(hello))))
    proofs.add(hello_proof("01" * 32, *hello[1:]))
    proofs.add(register_proof("token", "prj", "dev", "nonce"))
    proofs.add(register_proof("token", "prjd", "ev", "nonce"))
    assert len(proofs) == len(hello) + 3
    assert all(re.fullmatch("[0-9a-f]{64}", proof) for proof in proofs)


_JSON_HEAD = b'{"v":1,"boot":1,"first":1,'


@pytest.mark.parametrize(
    "payload",
    [
        _JSON_HEAD + b'"lines":["a \xfaine"]}',
        _JSON_HEAD + b'"more":' + b"[" * 200_000,
        _JSON_HEAD + b'"lines":[' + b"[" * 200_000,
        _JSON_HEAD + b'"lines":[{"message":"a","time":1%s}]}' % (b"0" * 30),
    ],
    ids=["text", "deep", "deep line", "time"],
)
def test_a_json_batch_of_garbage_is_refused_as_one(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="bad-body"):
        json_to_binary(payload, now=1)
    read_position(payload)  # whatever it gives, it gives something


def test_a_body_that_nests_too_deep_is_refused() -> None:
    whole = encode_batch(Lines([1], 14, "a", ["b"]), boot=1, first=1, codec=Codec.NONE)
    head, body = whole[:HEADER_BYTES], whole[HEADER_BYTES:]
    deep = head + bytes([body[0] + 1]) + body[1:] + b"\x91" * 100_000  # a fifth column
    with pytest.raises(ProtocolError, match="bad-body"):
        decode_lines(deep)
