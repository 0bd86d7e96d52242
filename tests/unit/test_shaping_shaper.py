"""Whole shapes: their order, names and labels, and what holds whatever lines come."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import NO_LABELS, Batch, Chunk, MetricBatch, MetricChunk
from hub.protocol import Lines, Samples
from hub.shaping.join import Joiner
from hub.shaping.rules import Join, Shape
from hub.shaping.shaper import Shaper
from hub.structs import decode
from hub.testing import make_chunk


def shape(**steps: Any) -> Shape:
    """Make a shape from what a user writes."""
    return decode(Shape, json.dumps(steps).encode())


def samples(names: str | list[str] = "cpu_ratio", count: int = 3) -> MetricChunk:
    """Make a chunk of samples."""
    column = Samples([1] * count, names, [0.5] * count, {"core": "0"})
    return MetricChunk("prj_a", "dev_a", "pump-1", "metric.cpu", 1, 1, 1, column)


def test_no_shape_changes_nothing() -> None:
    one = Shaper(Shape())
    chunk, metric = make_chunk(["a"]), samples()
    assert one.apply(chunk, "") is chunk
    assert one.apply_metrics(metric, "") is metric
    assert one.may_admit("app", "dev_a", None)
    assert not one.needs_groups
    assert one.delay(1_000) == 0
    assert one.take_counts() == {}


# ── names and labels ──


def test_programs_and_hosts_are_renamed() -> None:
    one = Shaper(shape(rename={"programs": {"a": "A"}, "hosts": {"pump-1": "P1"}}))
    several = one.apply(make_chunk(["x", "y"], programs=["a", "b"]), "")
    single = one.apply(make_chunk(["x"], programs="a"), "")
    assert several is not None
    assert single is not None
    assert (several.lines.programs, several.host) == (["A", "b"], "P1")
    assert single.lines.programs == "A"
    other = make_chunk(["x"], programs=["b"], host="pump-2")
    assert one.apply(other, "") is other


def test_conditions_are_of_the_old_names() -> None:
    one = Shaper(shape(filter={"include": [{"programs": ["a"]}]}, rename={"programs": {"a": "A"}}))
    assert one.apply(make_chunk(["x"], programs="a"), "") is not None
    assert one.apply(make_chunk(["x"], programs="A"), "") is None


def test_metrics_are_renamed() -> None:
    one = Shaper(shape(rename={"metrics": {"cpu_ratio": "node_cpu"}, "hosts": {"pump-1": "P1"}}))
    chunk = one.apply_metrics(samples(), "")
    assert chunk is not None
    assert (chunk.samples.names, chunk.host) == ("node_cpu", "P1")
    chunk = one.apply_metrics(samples(["cpu_ratio", "b", "cpu_ratio"]), "")
    assert chunk is not None
    assert chunk.samples.names == ["node_cpu", "b", "node_cpu"]


def test_labels_are_added_to_lines_and_samples() -> None:
    one = Shaper(shape(labels={"site": "north", "env": "prod"}))
    chunk = one.apply(replace(make_chunk(["x"]), labels={"env": "dev", "a": "1"}), "")
    assert chunk is not None
    (line,) = Batch("1", (chunk,))
    assert line.labels == {"env": "prod", "a": "1", "site": "north"}
    metric = one.apply_metrics(samples(count=1), "")
    assert metric is not None
    (sample,) = MetricBatch("1", (metric,))
    assert sample.labels == {"core": "0", "site": "north", "env": "prod"}


def test_chunks_without_labels_of_their_own_share_them() -> None:
    """So that what is made of them can be kept from chunk to chunk."""
    one = Shaper(shape(labels={"site": "north"}))
    first, second = one.apply(make_chunk(["x"]), ""), one.apply(make_chunk(["y"]), "")
    assert first is not None
    assert second is not None
    assert first.labels is second.labels
    assert first.labels is not NO_LABELS


# ── order ──


def test_each_step_sees_what_the_one_before_it_left() -> None:
    one = Shaper(
        shape(
            filter={"exclude": [{"text": "debug"}]},
            rate_limit={"lines_per_second": 2, "over": "drop"},
            redact={"patterns": [{"regex": "x+"}]},
            template="{{ message }}.",
        )
    )
    chunk = one.apply(make_chunk(["debug", "xx", "debug", "b", "c"]), "")
    assert chunk is not None
    assert chunk.lines.messages == ["[redacted].", "b."]
    assert chunk.seqs == [2, 4]
    assert one.take_counts() == {"filter": 2, "rate_limit": 1, "redact": 1}


# ── whatever comes ──

SHAPES = (
    {},
    {"filter": {"include": [{"regex": "^[a-m]"}, {"severity": "err"}]}},
    {"filter": {"exclude": [{"text": "a"}, {"programs": ["x"]}]}},
    {"sample": {"share": 0.5, "always": "err"}},
    {"redact": {"tokens": True, "cards": True, "emails": True, "patterns": [{"regex": ".b"}]}},
    {"template": "{{ time }} {{ program }}: {{ message | tojson }}"},
    {
        "filter": {"exclude": [{"regex": "^$"}]},
        "sample": {"share": 0.7},
        "redact": {"tokens": True, "patterns": [{"regex": "(?i)[a-c]+$"}]},
        "rename": {"programs": {"x": "X"}, "hosts": {"pump-1": "P"}},
        "labels": {"a": "b"},
        "template": "{{ labels.a }} {{ message | truncate(20) }}",
    },
)
# Whatever a str may hold: halves of surrogate pairs, NUL, newlines.
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30) | st.sampled_from(
    ["", "\x00", "\ud800", "a\nb", "\n", "password=\udfff", "a" * 65_536, "4" * 65_536, "password="]
)
ROWS = st.lists(
    st.tuples(TEXT, st.integers(0, 191), st.sampled_from(["x", "y", "\udc00"])),
    min_size=1,
    max_size=8,
)


def chunk_of(rows: list[tuple[str, int, str]], first: int) -> Chunk:
    """Make a chunk of rows."""
    messages, priorities, programs = (list(column) for column in zip(*rows, strict=True))
    return make_chunk(messages, priorities=priorities, programs=programs, first=first, time_us=1)


@settings(max_examples=60, deadline=None)
@given(steps=st.sampled_from(SHAPES), rows=ROWS, first=st.integers(1, 1 << 60))
def test_whatever_lines_come(
    steps: dict[str, Any], rows: list[tuple[str, int, str]], first: int
) -> None:
    """No line is too much for it, and the same lines become the same again."""
    one, chunk = Shaper(shape(**steps)), chunk_of(rows, first)
    shaped = one.apply(chunk, "")
    assert one.apply(chunk, "") == shaped
    assert Shaper(shape(**steps)).apply(chunk, "") == shaped
    if shaped is None:
        return
    numbers = list(shaped.numbers())
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(chunk.numbers())
    assert shaped.first == numbers[0]
    for column in (shaped.lines.times, shaped.lines.priorities, shaped.lines.programs):
        assert isinstance(column, list)
        assert len(column) == len(shaped)
    assert all(len(message) <= 1 << 17 for message in shaped.lines.messages)


@settings(deadline=None)
@given(
    steps=st.sampled_from(SHAPES),
    rows=st.lists(
        st.tuples(st.text("abz @.0", max_size=9), st.integers(0, 191), st.sampled_from("xy")),
        min_size=2,
        max_size=8,
    ),
    cut=st.integers(1, 7),
)
def test_it_does_not_matter_where_batches_are_cut(
    steps: dict[str, Any], rows: list[tuple[str, int, str]], cut: int
) -> None:
    one, chunk = Shaper(shape(**steps)), chunk_of(rows, 1)
    whole = one.apply(chunk, "")
    parts = [one.apply(chunk.part(0, cut), "")]
    if cut < len(chunk):
        parts.append(one.apply(chunk.part(cut), ""))
    lines = [line for part in parts if part is not None for line in Batch("1", (part,))]
    assert lines == ([] if whole is None else list(Batch("1", (whole,))))


@settings(deadline=None)
@given(rows=ROWS)
def test_joining_whatever_lines_come(rows: list[tuple[str, int, str]]) -> None:
    joiner: Joiner[int] = Joiner(Join())
    chunk = chunk_of(rows, 1)
    done = joiner.add(chunk, 1, 0.0) + joiner.flush(None)
    assert "\n".join(m for one in done for m in one.chunk.lines.messages) == "\n".join(
        chunk.lines.messages
    )
    assert done[-1].finishes == ((1, len(chunk)),)


@pytest.mark.parametrize("steps", SHAPES)
def test_columns_that_are_the_same_for_all_lines_stay_so(steps: dict[str, Any]) -> None:
    chunk = make_chunk(["apple", "b", "", "err"], priorities=11, programs="y")
    shaped = Shaper(shape(**steps)).apply(chunk, "")
    assert shaped is not None
    assert shaped.lines.priorities == 11
    assert shaped.lines.programs == "y"
    assert isinstance(shaped.lines, Lines)
