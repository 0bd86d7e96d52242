"""Metric batches: what comes back as it was, and what is refused by its name."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol import (
    HEADER_BYTES,
    MAX_LABELS,
    Codec,
    ProtocolError,
    Samples,
    decode_header,
    decode_samples,
    encode_samples,
    json_to_samples,
    read_position,
)

names = st.from_regex(r"\A[a-zA-Z_:][a-zA-Z0-9_:]{0,20}\Z")
label_names = st.from_regex(r"\A[a-zA-Z][a-zA-Z0-9_]{0,20}\Z")
labels = st.dictionaries(label_names, st.text(max_size=20), max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def some_samples(draw: st.DrawFn) -> Samples:
    count = draw(st.integers(1, 20))

    def column(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.one_of(values, st.lists(values, min_size=count, max_size=count)))

    def full(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(values, min_size=count, max_size=count))

    times = st.integers(0, 1 << 60)
    return Samples(full(times), column(names), full(finite), column(labels), column(st.booleans()))


@given(some_samples(), st.sampled_from(Codec), st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_samples_come_back_as_they_were(
    samples: Samples, codec: Codec, boot: int, first: int
) -> None:
    payload = encode_samples(samples, boot=boot, first=first, codec=codec)
    assert decode_samples(payload) == samples
    header = decode_header(payload)
    assert (header.boot, header.first, header.span) == (boot, first, len(samples))


def with_columns(*columns: object, span: int = 2) -> bytes:
    """Give a batch with this body, whatever it is worth."""
    head = encode_samples(Samples([1], "a", [1.0]), boot=1, first=1, span=span, codec=Codec.NONE)
    return head[:HEADER_BYTES] + msgspec.msgpack.encode(columns)


def code_of(payload: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode_samples(payload)
    return caught.value.code


@pytest.mark.parametrize(
    "columns",
    [
        ([1], "a", [1.0, 2.0]),
        ([1, 2], ["a"], [1.0, 2.0]),
        ([1, 2], "a", [1.0, 2.0], [{}]),
        ([1, 2], "a", [1.0, 2.0], {}, [True]),
        ([], "a", []),
        ([1, 2, 3], "a", [1.0, 2.0, 3.0]),
        ([1], "a", [math.nan]),
        ([1], "a", [math.inf]),
        ([1], "", [1.0]),
        ([1], "1a", [1.0]),
        ([1], "a-b", [1.0]),
        ([1], "a\n", [1.0]),
        ([1], "a" * 129, [1.0]),
        ([1], "a", ["1"]),
        ([1], "a", [1.0], {"a b": "x"}),
        ([1], "a", [1.0], {"__name__": "x"}),
        ([1], "a", [1.0], {"a:b": "x"}),
        ([1], "a", [1.0], {"a": 1}),
        ([1], "a", [1.0], {"a": "x" * 1_025}),
        ([1], "a", [1.0], {f"l{n}": "" for n in range(MAX_LABELS + 1)}),
        ([1], "a", [1.0], {}, 1),
        ([1], "a"),
    ],
)
def test_a_body_that_is_no_metrics_is_refused(columns: tuple[object, ...]) -> None:
    assert code_of(with_columns(*columns)) == "bad-body"


def test_the_most_labels_are_taken() -> None:
    most = {f"l{n}": "x" * 1_024 for n in range(MAX_LABELS)}
    assert decode_samples(with_columns([1], "a", [1.0], most, span=1)).labels == most


def test_a_whole_number_is_a_value() -> None:
    assert decode_samples(with_columns([1], "a", [3], span=1)).values == [3.0]


@given(st.binary(max_size=100))
def test_garbage_is_refused_and_nothing_else(body: bytes) -> None:
    head = encode_samples(Samples([1], "a", [1.0]), boot=1, first=1, codec=Codec.NONE)
    try:
        samples = decode_samples(head[:HEADER_BYTES] + body)
    except ProtocolError:
        return
    assert len(samples) == 1


def test_the_json_form_of_samples() -> None:
    text = {
        "v": 1,
        "boot": 1,
        "first": 5,
        "samples": [
            {"name": "temperature_celsius", "value": 21, "labels": {"room": "attic"}},
            {"name": "pulses_total", "value": 7.5, "time": 3, "counter": True},
        ],
    }
    payload = json_to_samples(json.dumps(text).encode(), now=9)
    samples = decode_samples(payload)
    assert samples.times == [9, 3]
    assert samples.name_column() == ["temperature_celsius", "pulses_total"]
    assert samples.values == [21.0, 7.5]
    assert samples.label_column() == [{"room": "attic"}, {}]
    assert samples.counter_column() == [False, True]
    header = decode_header(payload)
    assert (header.boot, header.first, header.span) == (1, 5, 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"v":1,"boot":1,"first":1,"samples":[]}', "bad-body"),
        ('{"v":1,"boot":1,"first":1,"samples":[{"name":"a"}]}', "bad-body"),
        ('{"v":1,"boot":1,"first":1,"samples":[{"name":"a b","value":1}]}', "bad-body"),
        ('{"v":1,"boot":1,"first":1,"samples":[{"name":"a","value":1e999}]}', "bad-body"),
        ('{"v":1,"boot":1,"first":1,"samples":[{"name":"a","value":NaN}]}', "bad-body"),
        ('{"v":1,"boot":0,"first":1,"samples":[{"name":"a","value":1}]}', "bad-header"),
        ('{"v":1,"boot":1,"first":1,"lines":["a"]}', "bad-body"),
        ('{"v":1,"boot":1,"first":1,"samples":[{"name":"a","value":1,"time":1' + "0" * 25 + "}]}",
         "bad-body"),
    ],
)  # fmt: skip
def test_samples_in_json_that_are_none(text: str, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        json_to_samples(text.encode(), now=1)
    assert caught.value.code == code


def test_the_place_of_samples_that_cannot_be_taken() -> None:
    header = read_position(b'{"v":1,"boot":2,"first":3,"samples":[{"name":"a b"}]}')
    assert header is not None
    assert (header.boot, header.first, header.span) == (2, 3, 1)


def test_a_part_of_columns_that_stand_for_all_samples() -> None:
    samples = Samples([1, 2, 3], "a", [1.0, 2.0, 3.0], {"x": "y"}, counters=True)
    assert samples.slice(1) == Samples([2, 3], "a", [2.0, 3.0], {"x": "y"}, counters=True)
    listed = Samples([1, 2], ["a", "b"], [1.0, 2.0], [{}, {"x": "y"}], [True, False])
    assert listed.slice(1, 2) == Samples([2], ["b"], [2.0], [{"x": "y"}], [False])


def test_the_example_of_the_page_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    payload = encode_samples(Samples([1, 2], "a", [1.5, 2.5]), boot=1, first=1, codec=Codec.NONE)
    short = [line for line in page.splitlines() if line.startswith("`01 00") and "cb3ff8" in line]
    assert len(short) == 1
    written = bytes.fromhex(short[0].strip("`").replace(" ", ""))
    assert decode_samples(written) == decode_samples(payload)
    assert decode_header(written) == decode_header(payload)
