"""Templates: what they may say, and that no template and no line makes them long or slow."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import Chunk
from hub.errors import FieldError, Invalid
from hub.shaping.rules import Shape
from hub.shaping.shaper import Shaper
from hub.shaping.templates import MAX_OUTPUT
from hub.structs import decode
from hub.testing import make_chunk

START = 1_795_446_245_123_456  # 2026-11-23T15:04:05.123456Z


def shaper(template: str, **more: Any) -> Shaper:
    """Compile a shape with a template."""
    return Shaper(decode(Shape, json.dumps({"template": template, **more}).encode()))


def sent(template: str, *messages: str, **chunk: Any) -> list[str]:
    """Give what is sent instead of the messages."""
    shaped = shaper(template).apply(make_chunk(messages, time_us=START, **chunk), "")
    assert shaped is not None
    return list(shaped.lines.messages)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ message }}", "disk full"),
        ("constant", "constant"),
        ("{{ program }}: {{ message }}", "demo: disk full"),
        ("{{ host }} {{ stream }} {{ device }}", "pump-1 app dev_aaaaaaaaaaaaaaaaaaaa"),
        ("{{ severity }} {{ facility }}", "err auth"),
        ("{{ time }}", "2026-11-23T15:04:05.123456Z"),
        ("{{ id }}", "dev_aaaaaaaaaaaaaaaaaaaa-app-1-1"),
        ("{{ message | upper }}", "DISK FULL"),
        ("{{ message | truncate(7, true, '', 0) }}", "disk fu"),
        ("{{ message | tojson }}", '"disk full"'),
        ("{{ message | urlencode }}", "disk%20full"),
        ("{{ message ~ '/' ~ host }}", "disk full/pump-1"),
        ("{% if severity == 'err' %}!{% else %}-{% endif %}", "!"),
        ("{% if severity in ('crit', 'err') and 'disk' in message %}!{% endif %}", "!"),
        ("{{ 'a' if not message else 'b' }}", "b"),
        ("{{ labels.zone }}/{{ labels['zone'] }}", "eu/eu"),
        ("{{ labels.site | default('none') }}{{ labels.site }}", "none"),
        ("{{ labels.items | default('none') }}", "none"),
        ("{# a comment #}x", "x"),
    ],
)
def test_what_a_template_says(template: str, text: str) -> None:
    chunk = make_chunk(["disk full"], time_us=START, priorities=35)
    shaped = shaper(template, labels={"zone": "eu"}).apply(chunk, "")
    assert shaped is not None
    assert shaped.lines.messages == [text]


def test_no_line_becomes_what_no_format_can_hold() -> None:
    """Half of a surrogate pair cannot be encoded: a line with one would be retried for ever."""
    with pytest.raises(Invalid):
        shaper("{{ '\\ud800' }}")
    [text] = sent("{% if message == 'x' %}{{ '\\ud800' }}{% else %}{{ message }}{% endif %}", "x")
    assert text == "x"


def test_each_line_has_its_own_values() -> None:
    texts = sent(
        "{{ program }} {{ severity }} {{ time }} {{ id }}", "a", "b",
        programs=["x", "y"], priorities=[11, 14],
    )  # fmt: skip
    assert texts == [
        "x err 2026-11-23T15:04:05.123456Z dev_aaaaaaaaaaaaaaaaaaaa-app-1-1",
        "y info 2026-11-23T15:04:05.124456Z dev_aaaaaaaaaaaaaaaaaaaa-app-1-2",
    ]


def test_nothing_else_of_a_line_changes() -> None:
    chunk = make_chunk(["a", "b"], programs=["x", "y"], priorities=[11, 14])
    shaped = shaper("{{ message }}!").apply(chunk, "")
    assert shaped is not None
    assert shaped == replace(chunk, lines=shaped.lines)
    assert shaped.lines.times == chunk.lines.times
    assert shaped.lines.programs == chunk.lines.programs
    assert shaped.lines.priorities == chunk.lines.priorities


def test_a_template_comes_last() -> None:
    chunk = shaper(
        "{{ host }} {{ program }} {{ labels.a }} {{ message }}",
        redact={"tokens": True},
        rename={"hosts": {"pump-1": "P1"}, "programs": {"demo": "D"}},
        labels={"a": "1"},
    ).apply(make_chunk(["password=x"]), "")
    assert chunk is not None
    assert chunk.lines.messages == ["P1 D 1 password=[redacted]"]


# ── what it may not have ──


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [
        ("{{ message", 1, "end of print statement"),
        ("a\nb\n{% if message %}", 3, "endif"),
        ("\n{{ nothing }}", 2, "nothing is not known"),
        ("{{ message * 1000000 }}", 1, "no '*'"),
        ("{{ message + message }}", 1, "no '+'"),
        ("{{ 10 ** 10 ** 10 }}", 1, "no '**'"),
        ("{{ message % 3 }}", 1, "no '%'"),
        ("{% for a in message %}{{ a }}{% endfor %}", 1, "loops"),
        ("a\n{% set a = 1 %}", 2, "set"),
        ("{% macro a() %}{% endmacro %}", 1, "macros"),
        ("{% include 'x' %}", 1, "include"),
        ("{% import 'x' as x %}", 1, "import"),
        ("{% extends 'x' %}", 1, "extends"),
        ("{% block x %}{% endblock %}", 1, "blocks"),
        ("{% filter upper %}x{% endfilter %}", 1, "filter"),
        ("{{ message() }}", 1, "calls"),
        ("{{ message.upper() }}", 1, "calls"),
        ("{{ message.__class__ }}", 1, "only labels have parts"),
        ("{{ labels.a.b }}", 1, "only labels have parts"),
        ("{{ labels[message] }}", 1, "constant"),
        ("{{ labels[0] }}", 1, "constant"),
        ("{{ message[0:5] }}", 1, "only labels have parts"),
        ("{{ message is defined }}", 1, "tests"),
        ("{{ {'a': 1} }}", 1, "dictionaries"),
        ("{{ [message] }}", 1, "constants only"),
        ("{{ message | format('x') }}", 1, "the filter format"),
        ("{{ message | center(1000000) }}", 1, "the filter center"),
        ("{{ message | replace('a', 'b') }}", 1, "the filter replace"),
        ("{{ message | nothing }}", 1, "nothing"),
        ("{{ message | upper | lower | upper | lower | upper }}", 1, "at most 4 filters"),
        ("{{ message | tojson | tojson }}", 1, "only one of"),
        ("{{ (message | escape ~ host) | urlencode }}", 1, "only one of"),
        ("{{ message | truncate(message) }}", 1, "has to be constant"),
        ("{{ message | truncate('a') }}", 1, "not supported between"),
        ("{{ " + " ~ ".join(["message"] * 17) + " }}", 1, "more than 16 variables"),
        ("{{ " + "(" * 1500 + "message" + ")" * 1500 + " }}", 1, "within one another"),
        ("{{ " + "not " * 900 + "message }}", 1, "within one another"),
        ("{% if message %}" * 150 + "{% endif %}" * 150, 1, "within one another"),
        ("{{ self }}", 1, "self is not known"),
        ("{{ range(9) }}", 1, "calls"),
    ],
)  # fmt: skip
def test_a_bad_template_is_refused_with_its_line(template: str, line: int, words: str) -> None:
    with pytest.raises(Invalid) as refusal:
        shaper(template)
    (error,) = refusal.value.errors
    assert isinstance(error, FieldError)
    assert error.pointer == "/template"
    assert error.detail.startswith(f"line {line}: ")
    assert words in error.detail


PIECES = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", " message ", " labels.a ", "|", "tojson", "upper", "truncate(3)",
        " if ", " else ", " endif ", "~", "'a'", "(", ")", "==", " in ", " for ", "1", "**", "[0]",
        ".x", "\n", "{#", "#}", "-", ":", ",", " not ", "is none", "%", "\\", "\ud800", "é",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(pieces=st.lists(PIECES, max_size=12), message=st.text(max_size=10))
def test_any_template_works_or_is_refused(pieces: list[str], message: str) -> None:
    try:
        one = Shaper(Shape(template="".join(pieces)))
    except Invalid as refusal:
        pointers = {error.pointer for error in refusal.errors}
    else:
        pointers = {"/template"} if one.apply(make_chunk([message]), "") is not None else set()
    assert pointers == {"/template"}


# ── bounds ──


def test_a_line_that_would_be_too_long_is_sent_as_it_was() -> None:
    one = shaper("{{ message }}{{ message }}")
    short, long = "a" * (MAX_OUTPUT // 2), "b" * (MAX_OUTPUT // 2 + 1)
    chunk = one.apply(make_chunk([short, long]), "")
    assert chunk is not None
    assert chunk.lines.messages == [short * 2, long]
    assert one.take_counts() == {"template": 1}


def test_a_line_on_which_it_fails_is_sent_as_it_was() -> None:
    one = shaper("{{ 1 if message and message < 1 else 2 }}")
    chunk = one.apply(make_chunk(["", "a"]), "")
    assert chunk is not None
    assert chunk.lines.messages == ["2", "a"]
    assert one.take_counts() == {"template": 1}


class Ticking:
    """A clock on which every look takes a quarter of a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def test_a_template_that_takes_too_long_for_a_chunk_is_left_out_for_the_rest_of_it() -> None:
    one = Shaper(Shape(template="{{ message }}!"), clock=Ticking())
    for _ in range(2):  # the next chunk has its own time
        chunk = one.apply(make_chunk(list("abcdefgh")), "")
        assert chunk is not None
        assert chunk.lines.messages == ["a!", "b!", "c!", "d!", "e", "f", "g", "h"]
        assert one.take_counts() == {"template": 4}


def worst() -> list[str]:
    """Give templates that do as much as the rules let them."""
    value = "(message|" + "|".join(["tojson", "title", "upper", "lower"]) + ")"
    return [
        ("{{ " + value + " }}") * 90,
        "{{ (" + "~".join(["message"] * 16) + ")|tojson }}" * 20,
        "{% if " + " or ".join(["'zz' in message"] * 16) + " %}{% endif %}" * 8,
    ]


@pytest.mark.parametrize("template", [text[:4_096] for text in worst()])
def test_the_worst_template_on_the_worst_line_ends(template: str) -> None:
    chunk: Chunk | None
    try:
        one = shaper(template)
    except Invalid:  # cut in the middle: what is left of it is no template
        one = shaper(template[: template.rindex("{{")] if "{{" in template else "x")
    message = "\x00" * 65_536
    chunk = one.apply(make_chunk([message] * 3), "")
    assert chunk is not None
    assert all(len(text) <= MAX_OUTPUT for text in chunk.lines.messages)
