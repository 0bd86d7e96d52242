"""What commands print: for people, for programs, and harmless for terminals."""

import io
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hub.client.commands import explain, output
from hub.client.commands.completing import offers
from hub.client.commands.moments import ahead, past
from hub.client.commands.naming import Ambiguous, NoProject, NoSuchName, find
from hub.client.errors import Problem, Unreachable, refusal
from hub.errors import FieldError
from hub.times import rfc3339


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output a terminal of sixty columns."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


ROWS: list[dict[str, Any]] = [
    {"id": "int_aaaaaaaaaaaaaaaaaaaa", "state": "delivering", "error": ""},
    {"id": "int_bbbbbbbbbbbbbbbbbbbb", "state": "broken", "error": "a long reason, " * 5},
]
COLUMNS: output.Columns[dict[str, Any]] = {
    "id": lambda one: one["id"],
    "state": lambda one: one["state"],
    "error": lambda one: one["error"],
}


def test_a_table_fits_the_terminal_and_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    output.show_table(ROWS, COLUMNS)
    text = shown.getvalue()
    assert "\x1b[32mdelivering" in text
    assert "\x1b[31mbroken" in text
    plain = output.without_colours(text).splitlines()
    assert max(map(len, plain)) <= 60
    assert len(plain) > 3, "long cells are folded, not cut off"
    assert "int_bbbbbbbbbbbbbbbbbbbb" in "".join(plain)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    output.show_table(ROWS, COLUMNS)
    assert "delivering" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_in_a_pipe_there_is_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(ROWS, COLUMNS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "state", "error"]
    assert lines[1].split() == ["int_aaaaaaaaaaaaaaaaaaaa", "delivering", "–"]
    assert lines[2].endswith("a long reason, a long reason,")
    assert len(lines) == 3


CELLS = [
    (None, "–"), ("", "–"), (True, "yes"), (False, "no"), (0, "0"), (2.50, "2.5"),
    (datetime(2026, 11, 23, 15, 4, 5, 6, UTC), "2026-11-23 15:04:05Z"),
    (["a", "b"], "a, b"), ({"a": [1]}, '{"a":[1]}'),
    ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
    ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
    ("a\nb\u202ec\x9b1m", r"a\nb\u202ec\x9b1m"),
    ("日本\u3000語 ünï", "日本\u3000語 ünï"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), CELLS)
def test_values_are_shown_in_words_and_move_no_cursor(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output.show_table([value], {"name": lambda one: one})
    assert capsys.readouterr().out == f"name\n{shown}\n"


def test_of_one_thing_only_what_says_something_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_fields({"id": "prj_1", "none": None, "nothing": "", "count": 0, "is": False})
    assert capsys.readouterr().out == "id     prj_1\ncount  0\nis     no\n"


def test_pages_become_one_document_of_items_as_they_came() -> None:
    bodies = [b'[{"a": 1.0},  {"b":"\\u00fc"}]', b"[]", b"[3]"]
    assert output.joined(bodies) == b'[{"a": 1.0},{"b":"\\u00fc"},3]'
    assert output.joined([b"[]"]) == b"[]"


def test_only_what_says_something_is_shown_of_a_shape() -> None:
    shape = {
        "filter": {"include": [], "exclude": [{"text": "x"}]},
        "template": "",
        "a": 0,
        "b": False,
    }
    assert output.flat(shape, "shape") == {
        "shape.filter.exclude": [{"text": "x"}], "shape.a": 0, "shape.b": False,
    }  # fmt: skip


# ── names ─────────────────────────────────────────────────────────────────────────────────────


class Thing(msgspec.Struct):
    id: str
    name: str


THINGS = [Thing("prj_1", "greenhouse"), Thing("prj_2", "garage"), Thing("prj_3", "garage")]


def meant(given: str) -> str:
    return find("project", given, THINGS, lambda one: one.name)


def test_a_thing_is_named_by_its_name_or_id() -> None:
    assert meant("greenhouse") == "prj_1"
    assert meant("prj_aaaaaaaaaaaaaaaaaaaa") == "prj_aaaaaaaaaaaaaaaaaaaa"


def test_the_nearest_names_are_told() -> None:
    with pytest.raises(NoSuchName, match="no project grenhouse; there is greenhouse"):
        meant("grenhouse")
    with pytest.raises(NoSuchName, match="there is garage, greenhouse"):
        meant("zzz")
    with pytest.raises(NoSuchName, match="there are no projects yet"):
        find("project", "x", [], lambda one: one.name)
    with pytest.raises(Ambiguous, match="prj_2 or prj_3"):
        meant("garage")
    with pytest.raises(NoProject, match="isaax projects use NAME"):
        raise NoProject(["a"])


def test_a_shell_is_offered_no_word_that_it_would_evaluate() -> None:
    """Somebody else may have chosen the name."""
    found = [
        ("plain-name.1", "prj_1", ""), ("温室", "prj_2", ""), ("two words", "prj_3", ""),
        ("$(reboot)", "prj_4", ""), ("`x`", "prj_5", ""), ("a;b", "prj_6", ""), ("*", "prj_7", ""),
        ("-rf", "prj_8", ""), ("a\nb", "prj_9", ""), ("\\", "prj_a", ""), ("", "prj_b", ""),
    ]  # fmt: skip
    offered = offers(found, "")
    assert [word for word, _ in offered] == [
        "plain-name.1", "温室", *(f"prj_{n}" for n in "3456789ab"),
    ]  # fmt: skip
    assert not set("$`();*\n\\'\"[]{}|&<>:") & set("".join(what for _, what in offered))
    assert offers(found, "pl") == [("plain-name.1", "prj_1")]


# ── times and errors ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10m", "2026-11-23T14:50:00.000000Z"),
        ("2h", "2026-11-23T13:00:00.000000Z"),
        ("1d", "2026-11-22T15:00:00.000000Z"),
        ("2026-11-23T15:04:05Z", "2026-11-23T15:04:05.000000Z"),
        ("2026-11-23T16:04:05.5+01:00", "2026-11-23T15:04:05.500000Z"),
    ],
)
def test_a_time_is_so_long_ago_or_a_moment(text: str, wanted: str) -> None:
    now = datetime(2026, 11, 23, 15, tzinfo=UTC).timestamp()
    assert rfc3339(past(text, now, "--since")) == wanted
    assert rfc3339(ahead("1d", now, "--expires")) == "2026-11-24T15:00:00.000000Z"


@pytest.mark.parametrize("text", ["", "soon", "5", "-5m", "2026-13-01", "999999999999999d"])
def test_what_is_no_time_is_bad_usage(text: str) -> None:
    with pytest.raises(Exception, match="a time is 10m") as raised:
        past(text, 0.0, "--since")
    assert type(raised.value).__name__ == "BadParameter"


def words(status: int, code: str = "x", detail: str = "because", **more: Any) -> str:
    problem = Problem(f"/problems/{code}", "It is so", status, detail, "urn:uuid:1")
    return explain.words(refusal(problem, **more))


def test_an_error_says_what_to_do() -> None:
    assert "isaax login" in words(401, "unauthenticated")
    assert words(401, "wrong-credentials") == "It is so: because"
    assert "isaax link" in words(403, "locked")
    lacking = "this credential lacks the scope tokens:write"
    assert "has tokens:write" in words(403, detail=lacking, scope="tokens:write")
    assert words(403, scope="tokens:write") == "It is so: because", "it is the role"
    alone = "only a person who is logged in may do this, no token"
    assert "isaax login --email" in words(403, detail=alone, scope="account:delete")
    assert "undo-deletion" in words(403, "account-closing")
    assert "`list`" in words(404, "not-found", "no such token")
    assert words(404, "not-found") == "It is so: because", "there is no list of these"
    assert words(404, "dead-link") == "It is so: because"
    assert "look at it again" in words(412)
    assert "Try again in 7 s." in words(503, again_after=7.0)
    assert "log has more under urn:uuid:1" in words(500)
    once = Problem("", "It is so", 422, "is short", "", (FieldError("/name", "is short"),))
    assert explain.words(refusal(once)) == "It is so\n  /name: is short"
    assert explain.words(Unreachable("is it on?")) == "No hub answers: is it on?"


def test_every_field_is_told_with_its_place() -> None:
    errors = (FieldError("/config/port", "is required"), FieldError("", "is too long"))
    problem = Problem("/problems/invalid", "It is so", 422, "because", "urn:uuid:1", errors)
    assert explain.words(refusal(problem)).splitlines() == [
        "It is so: because", "  /config/port: is required", "  /: is too long",
    ]  # fmt: skip
