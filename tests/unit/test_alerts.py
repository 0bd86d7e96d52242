"""Rules for what is worth telling somebody."""

import pytest

from hub.batches import Batch
from hub.errors import Invalid
from hub.shaping.alerts import AlertRule, Watch
from hub.structs import decode
from hub.testing import make_chunk

BATCH = Batch(
    "b",
    (
        make_chunk(["disk full", "fine", "disk slow"], host="a", priorities=[11, 14, 11]),
        make_chunk(["disk full", "other"], host="b", priorities=12, device="dev_b"),
    ),
)


def test_a_line_counts_for_the_first_rule_that_it_matches() -> None:
    full, disk = Watch(
        [AlertRule("full", text="disk full"), AlertRule("disk", regex="^disk")]
    ).findings(BATCH)
    assert [part.at for part in full.parts] == [[0], [3]]
    assert [part.at for part in disk.parts] == [[2]]
    assert (full.count, full.hosts) == (2, {"a": 1, "b": 1})


def test_the_first_and_the_last_lines_are_given_in_order() -> None:
    (found,) = Watch([AlertRule("all")]).findings(BATCH)
    assert [line.message for line in found.first(4)] == [
        "disk full", "fine", "disk slow", "disk full",
    ]  # fmt: skip
    assert [line.message for line in found.last(3)] == ["disk slow", "disk full", "other"]
    assert found.first(9) == found.last(9)


def test_a_rule_is_silent_below_its_number_of_lines() -> None:
    rules = [AlertRule("few", severity="err", at_least=3), AlertRule("rest", at_least=4)]
    assert Watch(rules).findings(BATCH) == []
    rules[0] = AlertRule("few", severity="err", at_least=2)
    assert [found.rule.name for found in Watch(rules).findings(BATCH)] == ["few"]


def test_programs_and_severity_decide_for_a_whole_chunk() -> None:
    rules = [AlertRule("other", programs=("nobody",)), AlertRule("demo", programs=("demo",))]
    assert [found.count for found in Watch(rules).findings(BATCH)] == [5]


def test_a_bad_pattern_is_refused_in_words() -> None:
    with pytest.raises(Invalid, match=r"regex: .*bracket") as refused:
        decode(AlertRule, {"name": "x", "regex": "("})
    assert refused.value.errors[0].pointer == ""
