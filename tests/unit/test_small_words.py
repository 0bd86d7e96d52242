"""Identifiers, cursors, secrets, errors and merge patches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import Secret, cursor_of, ids, merge_patch, position_of
from hub.errors import Conflict, FieldError, Invalid, IsaaxError, by_code


def test_an_id_says_what_it_names() -> None:
    """A prefix and 100 random bits, safe in topics, subjects and paths."""
    made = {ids.new("prj") for _ in range(100)}
    assert len(made) == 100
    assert all(ids.is_valid(one, "prj") and not ids.is_valid(one, "dev") for one in made)
    assert not ids.is_valid("prj_", "prj")
    assert not ids.is_valid(f"{made.pop()}\n", "prj")


@given(st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back(position: int) -> None:
    """What was given out is understood again."""
    assert position_of(cursor_of(position)) == position


@pytest.mark.parametrize("cursor", ["x", "MQ==", "LTE", "é", "MDA", " MQ", "OTk5" * 20])
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    """With a pointer to the parameter."""
    with pytest.raises(Invalid) as refused:
        position_of(cursor)
    assert refused.value.errors[0].pointer == "/cursor"


def test_a_secret_does_not_show() -> None:
    """Neither in a repr, nor formatted, nor in a container."""
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {'%s' % secret}"  # noqa: UP031
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("other")
    assert len({secret, Secret("hunter2")}) == 1
    assert not Secret("")


def test_an_errors_docstring_is_its_message() -> None:
    """The title is the class's, the detail the case's, and a code leads back to the class."""
    error = Conflict("two tokens are valid", errors=[FieldError("/name", "taken")])
    assert str(error) == "This does not fit the present state: two tokens are valid"
    assert error.errors[0].pointer == "/name"
    assert by_code("conflict") is Conflict
    assert by_code("never heard of") is IsaaxError


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_rfc_7396_says(
    target: object, patch: object, result: object
) -> None:
    """Cases of its appendix A."""
    assert merge_patch(target, patch) == result
