"""Named SQL: what counts as a parameter, and what is said about a mistake."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.sql.queries import Queries, Query, QueryError


@pytest.mark.parametrize(
    ("sql", "expected", "parameters"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT :a::int", "SELECT $1::int", ("a",)),
        ("SELECT x::jsonb, ':no', \":no\"", "SELECT x::jsonb, ':no', \":no\"", ()),
        ("SELECT 'it''s :no', :yes", "SELECT 'it''s :no', $1", ("yes",)),
        (r"SELECT E'\' :no', :yes", r"SELECT E'\' :no', $1", ("yes",)),
        ("SELECT 1 -- :no\n, :yes", "SELECT 1 -- :no\n, $1", ("yes",)),
        ("SELECT /* :no\n ' */ :yes", "SELECT /* :no\n ' */ $1", ("yes",)),
        ("SELECT $$ :no ' $$, :yes", "SELECT $$ :no ' $$, $1", ("yes",)),
        ("SELECT $x$ :no $$ $x$, :yes", "SELECT $x$ :no $$ $x$, $1", ("yes",)),
        ("SELECT a[1:2], :yes;\n", "SELECT a[1:2], $1", ("yes",)),
        ("SELECT '2026-01-01 10:00:00', :yes", "SELECT '2026-01-01 10:00:00', $1", ("yes",)),
    ],
)
def test_parameters(sql: str, expected: str, parameters: tuple[str, ...]) -> None:
    query = Query.parse("q", sql)
    assert (query.sql, query.parameters) == (expected, parameters)


def test_a_file() -> None:
    queries = Queries.parse(
        "-- What belongs together.\n\n"
        "-- name: first\n-- Its comment.\nSELECT :a;\n\n--name:second\nSELECT 2\n",
        "pkg/store.sql",
    )
    assert list(queries) == ["first", "second"]
    assert queries["first"].parameters == ("a",)
    assert queries["second"].sql == "SELECT 2"
    assert str(queries["second"]) == "second (pkg/store.sql:7)"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\nSELECT 1\n", "f.sql:2: SQL before the first"),
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "f.sql:3: a is already at f.sql:1"),
        ("-- name: a\n\n-- name: b\nSELECT 1", "f.sql:1: a is empty"),
        ("-- name: Get Project\nSELECT 1", "f.sql:1: a name is lower-case"),
        ("-- name:\nSELECT 1", "f.sql:1: a name is lower-case"),
        ("-- name: a\nSELECT 1,\n 'open", "f.sql:3: ' is opened and never closed in a"),
        ("-- name: a\nSELECT 1 /* open", r"f.sql:2: /\* is opened and never closed in a"),
        ("-- name: a\n\nSELECT $1", r"f.sql:3: a uses \$1; write :name instead"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=f"^{complaint}"):
        Queries.parse(text, "f.sql")


def test_no_such_query_or_file() -> None:
    with pytest.raises(QueryError, match=r"f\.sql has no query named 'b'"):
        Queries.parse("-- name: a\nSELECT 1", "f.sql")["b"]
    with pytest.raises(QueryError, match=r"hub/sql/none\.sql: there is no such file"):
        Queries.load("hub.sql", "none.sql")


def test_values_must_fit_the_parameters() -> None:
    query = Query.parse("q", "SELECT :a, :b", "f.sql", 3)
    assert query.bind({"b": 2, "a": 1}) == [1, 2]
    with pytest.raises(
        QueryError, match=r"^q \(f\.sql:3\): it needs also b; it does not use c, d$"
    ):
        query.bind({"a": "hunter2", "c": "hunter2", "d": 1})


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes the parser fail in another way, and a string's content never changes."""
    literal = "'" + text.replace("'", "''") + "'"
    assert Query.parse("q", f"SELECT {literal}").sql == f"SELECT {literal}"
    with suppress(QueryError):
        Queries.parse(f"-- name: a\n{text}")
