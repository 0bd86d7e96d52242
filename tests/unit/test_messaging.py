"""The small rules of the bus: waits, headers and errors on the wire."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import FieldError, Invalid, IsaaxError, by_code
from hub.messaging import wire
from hub.messaging.events import Pace, topic_of
from hub.messaging.transport import Message


def test_waits_grow_up_to_a_limit() -> None:
    pace = Pace(first=0.5, limit=300.0, jitter=0)
    assert [pace.wait(attempt) for attempt in (1, 2, 3, 10, 11, 10_000)] == [
        0.5, 1.0, 2.0, 256.0, 300.0, 300.0,
    ]  # fmt: skip


def test_waits_are_not_the_same_for_all() -> None:
    waits = {Pace().wait(3) for _ in range(100)}
    assert len(waits) > 90
    assert all(1.5 <= wait <= 2.5 for wait in waits)


@given(st.text())
def test_any_text_is_safe_in_a_header(text: str) -> None:
    value = wire.header_value(text)
    assert value.isascii()
    assert value.isprintable()
    assert value == value.strip()


@given(st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_an_error_travels(detail: str, fields: list[tuple[str, str]]) -> None:
    error = Invalid(detail, errors=[FieldError(*field) for field in fields])
    data, headers = wire.error_message(error)
    with pytest.raises(Invalid) as caught:
        wire.raise_error(Message("", data, "", headers))
    assert (caught.value.detail, caught.value.errors) == (error.detail, error.errors)


def test_an_unknown_kind_of_error() -> None:
    headers = {wire.ERROR_CODE: "418", wire.ERROR: "I am a teapot", wire.ERROR_KIND: "teapot"}
    with pytest.raises(IsaaxError, match="I am a teapot") as caught:
        wire.raise_error(Message("", b"<html>", "", headers))
    assert type(caught.value) is IsaaxError is by_code("teapot")


def test_no_error() -> None:
    wire.raise_error(Message("", b"{}"))
    assert topic_of("event.projects.project.created.v12") == "projects.project.created"


async def test_the_budget_shrinks_and_never_grows() -> None:
    loop = asyncio.get_running_loop()
    assert wire.budget(5.0) == 5.0
    with wire.deadline(loop.time() + 60):
        assert wire.budget(5.0) == 5.0
        with wire.deadline(loop.time() + 1):
            assert 0 < wire.budget(5.0) <= 1
        with wire.deadline(None):
            assert wire.budget(5.0) == 5.0
    assert wire.arrival_deadline({wire.BUDGET: "1500"}, 9.0) <= loop.time() + 1.5
    assert wire.arrival_deadline({}, 9.0) > loop.time() + 8
