"""What a shape would do, line by line."""

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.errors import Invalid
from hub.shaping.preview import Preview, preview
from hub.shaping.rules import Shape
from hub.structs import decode
from hub.testing import make_chunk

SECOND = 1_000_000


def shape(**steps: Any) -> Shape:
    """Make a shape from what a user writes."""
    return decode(Shape, json.dumps(steps).encode())


def told(result: list[Preview]) -> list[tuple[str, str | None]]:
    """Give the outcomes and the messages."""
    return [(one.outcome, one.line.message if one.line else None) for one in result]


def test_every_line_has_one_outcome_in_order() -> None:
    chunk = replace(
        make_chunk(
            ["start", "Traceback (most recent call last):", "  File x", "ValueError: token=x",
             "debug me", "one", "two", "three"]
        ),
        received=SECOND,
    )  # fmt: skip
    result = preview(
        shape(
            join={},
            filter={"exclude": [{"text": "debug"}]},
            rate_limit={"lines_per_second": 4, "over": "drop"},
            redact={"tokens": True},
            labels={"a": "b"},
            template="> {{ message }}",
        ),
        [(chunk, "pumps")],
    )
    assert [one.id for one in result] == chunk.ids()
    assert told(result) == [
        ("sent", "> start"),
        ("sent", "> Traceback (most recent call last):\n  File x\nValueError: token=[redacted]"),
        ("joined", None),
        ("joined", None),
        ("filter", None),
        ("sent", "> one"),
        ("sent", "> two"),
        # The last line of a stream is held, and comes by itself: within the same second.
        ("rate_limit", None),
    ]
    assert result[0].line is not None
    assert result[0].line.labels == {"a": "b"}


def test_samples_and_groups() -> None:
    pumps, valves = make_chunk(["a"], device="dev_a"), make_chunk(["b"], device="dev_b")
    chunks = [(pumps, "pumps"), (valves, "valves")]
    assert told(preview(shape(filter={"include": [{"groups": ["valves"]}]}), chunks)) == [
        ("filter", None), ("sent", "b"),
    ]  # fmt: skip
    assert told(preview(shape(sample={"share": 0}), chunks)) == [("sample", None)] * 2
    joined = shape(join={}, filter={"include": [{"groups": ["valves"]}]})
    assert told(preview(joined, chunks)) == [("filter", None), ("sent", "b")]


def test_time_is_when_the_hub_took_the_lines() -> None:
    def chunk(message: str, first: int, seconds: float) -> tuple[Any, str]:
        made = make_chunk([message], first=first)
        return replace(made, received=int(seconds * SECOND)), ""

    limit = shape(rate_limit={"lines_per_second": 1, "over": "drop"})
    assert told(preview(limit, [chunk("a", 1, 5), chunk("b", 2, 5.5), chunk("c", 3, 7)])) == [
        ("sent", "a"), ("rate_limit", None), ("sent", "c"),
    ]  # fmt: skip
    join = shape(join={"wait": 1})
    assert told(preview(join, [chunk("a", 1, 5), chunk(" b", 2, 5.5), chunk(" c", 3, 7)])) == [
        ("sent", "a\n b"), ("joined", None), ("sent", " c"),
    ]  # fmt: skip


def test_lines_that_wait_are_sent() -> None:
    result = preview(shape(rate_limit={"lines_per_second": 1}), [(make_chunk(["a", "b"]), "")])
    assert told(result) == [("sent", "a"), ("sent", "b")]


def test_nothing_and_what_is_wrong() -> None:
    assert preview(shape(), []) == []
    with pytest.raises(Invalid) as refusal:
        preview(shape(redact={"patterns": [{"regex": "("}]}), [])
    assert refusal.value.errors[0].pointer == "/redact/patterns/0/regex"
