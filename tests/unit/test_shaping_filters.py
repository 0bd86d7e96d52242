"""Which lines a shape lets through, and what is decided before they are read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import Chunk, MetricChunk
from hub.errors import Invalid
from hub.protocol import Samples
from hub.shaping.patterns import MAX_PROGRAM, AnyOf, Pattern, Texts
from hub.shaping.rules import Shape
from hub.shaping.shaper import Shaper
from hub.structs import decode
from hub.testing import make_chunk

DEVICE = "dev_aaaaaaaaaaaaaaaaaaaa"


def shaper(**shape: Any) -> Shaper:
    """Compile a shape from what a user writes."""
    return Shaper(decode(Shape, json.dumps(shape).encode()))


def passing(chunk: Chunk, *, group: str = "", **rule: Any) -> list[str]:
    """Give the messages that a filter lets through."""
    kept = shaper(filter=rule).apply(chunk, group)
    return [] if kept is None else list(kept.lines.messages)


def metrics(stream: str = "metric.cpu", count: int = 3) -> MetricChunk:
    """Make a chunk of samples."""
    samples = Samples([1] * count, "cpu_ratio", [0.5] * count, {"core": "0"})
    return MetricChunk("prj_a", DEVICE, "pump-1", stream, 1, 1, 1, samples)


LINES = make_chunk(
    ["started", "disk full", "user logged in", "disk slow"],
    priorities=[14, 11, 38, 12],  # user.info, user.err, auth.info, user.warning
    programs=["demo", "demo", "sshd", "kernel"],
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"include": [{"text": "disk"}]}, [1, 3]),
        ({"include": [{"regex": "^disk (full|empty)$"}]}, [1]),
        ({"include": [{"regex": r"\Adisk"}]}, [1, 3]),
        ({"include": [{"regex": r"slow\z"}]}, [3]),
        ({"include": [{"severity": "warning"}]}, [1, 3]),
        ({"include": [{"programs": ["sshd", "kernel"]}]}, [2, 3]),
        ({"include": [{"programs": ["sshd"]}, {"text": "started"}]}, [0, 2]),
        ({"include": [{"programs": ["demo"], "text": "disk"}]}, [1]),
        ({"include": [{"streams": ["sys"]}]}, []),
        ({"include": [{"streams": ["app"]}]}, [0, 1, 2, 3]),
        ({"include": [{"devices": ["dev_other"]}]}, []),
        ({"include": [{"devices": [DEVICE]}]}, [0, 1, 2, 3]),
        ({"include": [{"groups": ["pumps"]}]}, [0, 1, 2, 3]),
        ({"include": [{"groups": ["valves"]}]}, []),
        ({"exclude": [{"text": "disk"}]}, [0, 2]),
        ({"exclude": [{"severity": "debug"}]}, []),
        ({"exclude": [{"streams": ["sys"]}, {"programs": ["sshd"]}]}, [0, 1, 3]),
        ({"exclude": [{"groups": ["pumps"]}]}, []),
        ({"include": [{"text": "disk"}], "exclude": [{"text": "full"}]}, [3]),
        ({"include": [{"text": "no such"}], "exclude": [{"text": "full"}]}, []),
    ],
)
def test_conditions(rule: dict[str, Any], expected: list[int]) -> None:
    assert passing(LINES, group="pumps", **rule) == [LINES.lines.messages[n] for n in expected]


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({"include": [{"severity": "err"}]}, False),
        ({"include": [{"severity": "info"}]}, True),
        ({"include": [{"programs": ["other"]}]}, False),
        ({"exclude": [{"programs": ["demo"]}]}, False),
        ({"exclude": [{"regex": "x"}]}, True),
    ],
)
def test_what_is_the_same_for_all_lines_is_decided_once(rule: dict[str, Any], passes: bool) -> None:
    chunk = make_chunk(["a", "b"], priorities=14, programs="demo")
    assert shaper(filter=rule).apply(chunk, "") is (chunk if passes else None)


def test_what_passes_partly_keeps_its_numbers_and_columns() -> None:
    kept = shaper(filter={"include": [{"text": "disk"}]}).apply(LINES, "")
    assert kept is not None
    assert (kept.first, kept.seqs) == (2, [2, 4])
    assert kept.ids() == [LINES.ids()[1], LINES.ids()[3]]
    assert kept.lines.priorities == [11, 12]
    assert kept.lines.programs == ["demo", "kernel"]
    assert kept.lines.times == [LINES.lines.times[1], LINES.lines.times[3]]
    again = shaper(filter={"include": [{"text": "slow"}]}).apply(kept, "")
    assert again is not None
    assert (again.first, again.seqs) == (4, [4])


def test_what_is_left_out_is_counted() -> None:
    one = shaper(filter={"include": [{"text": "disk"}]})
    one.apply(LINES, "")
    one.apply(make_chunk(["nothing"]), "")
    assert one.take_counts() == {"filter": 3}
    assert one.take_counts() == {}


# ── before lines are read ──


@pytest.mark.parametrize(
    ("rule", "group", "admits"),
    [
        ({}, None, True),
        ({"include": [{"streams": ["sys"]}]}, None, False),
        ({"include": [{"streams": ["sys"]}, {"text": "x"}]}, None, True),
        ({"include": [{"streams": ["sys"]}, {"devices": [DEVICE]}]}, None, True),
        ({"include": [{"devices": ["dev_b"]}]}, None, False),
        ({"include": [{"groups": ["pumps"]}]}, None, True),
        ({"include": [{"groups": ["pumps"]}]}, "pumps", True),
        ({"include": [{"groups": ["pumps"]}]}, "", False),
        ({"include": [{"streams": ["app"], "groups": ["valves"]}]}, "pumps", False),
        ({"exclude": [{"streams": ["app"]}]}, None, False),
        ({"exclude": [{"streams": ["app"], "text": "x"}]}, None, True),
        ({"exclude": [{"streams": ["app"], "severity": "debug"}]}, None, True),
        ({"exclude": [{"streams": ["app"], "devices": ["dev_b"]}]}, None, True),
        ({"exclude": [{"groups": ["pumps"]}]}, None, True),
        ({"exclude": [{"groups": ["pumps"]}]}, "pumps", False),
        ({"exclude": [{}]}, None, False),
    ],
)
def test_may_admit(rule: dict[str, Any], group: str | None, admits: bool) -> None:
    assert shaper(filter=rule).may_admit("app", DEVICE, group) is admits


matches = st.fixed_dictionaries(
    {},
    optional={
        "streams": st.lists(st.sampled_from(["app", "sys"]), max_size=2),
        "devices": st.lists(st.sampled_from([DEVICE, "dev_b"]), max_size=1),
        "groups": st.lists(st.sampled_from(["pumps", "valves"]), max_size=1),
        "severity": st.sampled_from(["err", "debug"]),
        "programs": st.lists(st.sampled_from(["demo", "sshd"]), max_size=1),
        "text": st.sampled_from(["", "disk", "a"]),
        "regex": st.sampled_from(["", "^d", "in$"]),
    },
)


@settings(deadline=None)
@given(
    include=st.lists(matches, max_size=3),
    exclude=st.lists(matches, max_size=3),
    known=st.booleans(),
)
def test_what_is_not_admitted_would_not_have_passed(
    include: list[dict[str, Any]], exclude: list[dict[str, Any]], known: bool
) -> None:
    one = shaper(filter={"include": include, "exclude": exclude})
    if not one.may_admit("app", DEVICE, "pumps" if known else None):
        assert one.apply(LINES, "pumps") is None


def test_groups_are_asked_for_only_where_a_condition_names_one() -> None:
    assert not shaper(filter={"include": [{"text": "x"}]}).needs_groups
    assert shaper(filter={"exclude": [{"text": "x"}, {"groups": ["a"]}]}).needs_groups


# ── metrics ──


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({}, True),
        ({"include": [{"streams": ["metric.cpu"]}]}, True),
        ({"include": [{"streams": ["metric.disk"]}]}, False),
        ({"include": [{"groups": ["pumps"]}]}, True),
        ({"exclude": [{"devices": [DEVICE]}]}, False),
        ({"include": [{"text": "cpu"}]}, False),
        ({"include": [{"regex": "."}]}, False),
        ({"include": [{"programs": ["demo"]}]}, False),
        ({"include": [{"severity": "debug"}]}, False),
        ({"exclude": [{"severity": "debug"}]}, True),
    ],
)
def test_metrics_have_no_text_program_or_severity(rule: dict[str, Any], passes: bool) -> None:
    chunk = metrics()
    one = shaper(filter=rule)
    assert one.apply_metrics(chunk, "pumps") is (chunk if passes else None)
    assert one.may_admit("metric.cpu", DEVICE, "pumps") is passes


# ── patterns ──


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("(", "close every bracket"),
        ("[a", "close every ["),
        (r"(a)\1", "no back-references"),
        ("(?=x)", "no look-ahead"),
        ("(?<!x)y", "look-behind"),
        ("a{1001}", "at most 1,000 times"),
        ("(a{100}){100}", "at most 1,000 times"),
        ("*", "put something before it"),
        ("[[:no:]]", "classes"),
        (r"\p{L}{20}", "split it into several conditions"),
        ("a\\", "double the backslash"),
    ],
)
def test_a_bad_regex_is_refused_where_it_stands(regex: str, words: str) -> None:
    with pytest.raises(Invalid) as refusal:
        shaper(filter={"include": [{"text": "ok"}, {"regex": regex}]})
    (error,) = refusal.value.errors
    assert error.pointer == "/filter/include/1/regex"
    assert words in error.detail


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        shaper(
            join={"starts": "("},
            filter={"include": [{"regex": "("}], "exclude": [{"regex": ")"}]},
            redact={"patterns": [{"regex": "a"}, {"regex": "["}]},
            rename={"metrics": {"a/b": "1"}, "hosts": {"a": ""}},
            template="{{ nothing }}",
        )
    assert [error.pointer for error in refusal.value.errors] == [
        "/join/starts",
        "/filter/include/0/regex",
        "/filter/exclude/0/regex",
        "/redact/patterns/1/regex",
        "/rename/hosts/a",
        "/rename/metrics/a~1b",
        "/template",
    ]


def test_half_a_character_is_no_pattern() -> None:
    with pytest.raises(Invalid, match="Unicode"):
        Pattern("\ud800", "/x")


def test_a_pattern_that_backtracks_elsewhere_is_searched_in_linear_time() -> None:
    """`(a+)+$` takes a backtracking engine 2^n steps."""
    assert passing(make_chunk(["a" * 30_000 + "!"]), include=[{"regex": "(a+)+$"}]) == []
    assert MAX_PROGRAM < 10_000


REGEXES = (
    "", "a", "^a", "a$", "^$", "^a.*b$", "b|^$", "[^a]b", r"\bab\b", r"\Ba", "(?i)AB", "(?s)a.b",
    r"a\sb", r"\Aa", r"b\z", "(?-m)^a", "(?im)^A", r"a\nb", "x*", "(a|b)*$", r"\Qa", "é", "[^é]$",
)  # fmt: skip


@settings(deadline=None)
@given(
    regex=st.sampled_from(REGEXES),
    messages=st.lists(st.text("abAB \né", max_size=6), min_size=1, max_size=8),
)
def test_searching_all_lines_at_once_finds_what_searching_each_finds(
    regex: str, messages: list[str]
) -> None:
    pattern = Pattern(regex, "")
    each = [pattern.found(message) for message in messages]
    assert (pattern.where(Texts(messages)) or [False] * len(messages)) == each


@settings(deadline=None)
@given(
    regexes=st.lists(st.sampled_from(REGEXES), max_size=4),
    messages=st.lists(st.text("abAB é", max_size=6), min_size=1, max_size=8),
)
def test_searching_for_several_patterns_finds_what_each_of_them_finds(
    regexes: list[str], messages: list[str]
) -> None:
    patterns = [Pattern(regex, "") for regex in regexes]
    each = [any(one.found(message) for one in patterns) for message in messages]
    found = AnyOf(patterns).where(Texts(messages))
    assert (found or [False] * len(messages)) == each


def test_patterns_that_cannot_be_one_are_searched_one_by_one() -> None:
    patterns = [Pattern("(?P<x>a)", ""), Pattern("(?P<x>b)", "")]
    assert AnyOf(patterns).where(Texts(["a", "b", "c"])) == [True, True, False]
