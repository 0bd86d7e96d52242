"""The gateway's parsers and encoders under any input."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import IsaaxError, NotFound
from hub.gateway import answers, conditional, decoding, media
from hub.gateway.authentication import Identity
from hub.gateway.conditional import Conditions
from hub.gateway.problems import describe_problems, problem_of
from hub.gateway.routing import Declared, build_table
from hub.routes import Caller, PageQuery, Reply
from hub.secret import Secret
from tests.fixtures.gateway import Notes

ANYTHING = st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists)
VERSIONS = st.text(st.characters(codec="utf-8"), max_size=40).filter(lambda text: text != "*")


@given(VERSIONS)
def test_every_version_comes_back_from_its_etag(version: str) -> None:
    tag = conditional.etag(version)
    assert tag.isascii()
    assert conditional.parse_if_match(tag, required=True) == (version,)
    assert Conditions.of({"If-None-Match": f'"x", W/{tag}'}).not_modified(version)


def test_what_tells_how_something_fares_is_read_again() -> None:
    """Its version stays while that changes; it still guards what is changed by it."""
    seen = Conditions.of({"If-None-Match": '"7"'})
    for live, status in ((False, 304), (True, 200)):
        reply = Reply({"lag": 3}, version="7", live=live)
        answer = answers.of_reply(reply, 200, path="/x", query="", conditions=seen)
        assert (answer.status, answer.headers["ETag"]) == (status, '"7"')


def outcome(read: Callable[[], Any]) -> Any:
    """Give what was read, or the error that refused it."""
    try:
        return read()
    except IsaaxError as error:
        return error


@given(st.text())
def test_any_header_is_read_or_refused(text: str) -> None:
    for read in (
        lambda: media.choose(text, [media.JSON, media.EVENTS]),
        lambda: conditional.parse_if_match(text, required=True),
        lambda: media.require(media.JSON, text, None),
    ):
        result = outcome(read)
        assert not isinstance(result, IsaaxError) or 400 <= result.status < 500


@given(st.binary() | ANYTHING.map(msgspec.json.encode))
def test_any_body_is_json_or_refused(body: bytes) -> None:
    result = outcome(lambda: decoding.parse_json(body))
    assert not isinstance(result, IsaaxError) or result.status in {400, 422}


@given(st.text(st.characters(codec="ascii")))
def test_any_query_is_read_or_refused(raw: str) -> None:
    result = outcome(lambda: decoding.QueryDecoder(PageQuery).decode(raw))
    if isinstance(result, IsaaxError):
        assert result.status in {400, 422}
    else:
        assert 1 <= result.limit <= 200


@pytest.mark.parametrize("kind", [dict[str, str], bytes, Secret, int | str])
def test_a_query_that_no_url_can_hold_is_refused_at_the_start(kind: Any) -> None:
    struct = msgspec.defstruct("Odd", [("field", kind)])
    with pytest.raises(TypeError):
        decoding.QueryDecoder(struct)


def test_secrets_are_masked_in_answers() -> None:
    assert answers.encode([{"a": Secret("hunter2"), "b": Secret("")}]) == (
        b'[{"a":"********","b":""}]'
    )


def test_a_credential_is_not_in_the_repr_of_who_showed_it() -> None:
    assert "isx_secret" not in repr(Identity(Caller("acc_x", "apt_x"), "isx_secret"))


def test_locations_and_links_cannot_break_their_header() -> None:
    reply = Reply([], location="/a b\r\nX: y/ü", next='a"><\r\nb&c')
    answer = answers.of_reply(
        reply, 201, path="/a", query="limit=2&cursor=old&q=%22", conditions=Conditions()
    )
    assert answer.headers["Location"] == "/a%20b%0D%0AX:%20y/%C3%BC"
    assert answer.headers["Link"] == ('</a?limit=2&q=%22&cursor=a%22%3E%3C%0D%0Ab%26c>; rel="next"')


def test_errors_of_plugins_have_pages_too() -> None:
    class OutOfPaint(NotFound):
        """There is no paint left.

        Buy some.
        """

        code = "out-of-paint"

    page = describe_problems([OutOfPaint])["out-of-paint"]
    assert (page.title, page.status, page.description) == (
        "There is no paint left",
        404,
        "Buy some.",
    )
    assert problem_of(OutOfPaint("red"), "id").detail == "red"


def test_the_first_to_declare_a_path_keeps_it() -> None:
    routes = Notes().isaax_routes()
    table, refused = build_table(
        [*(Declared("one", route) for route in routes), *(Declared("two", r) for r in routes)],
        {"notes:read", "notes:write"},
    )
    assert sum(len(methods) for methods in table.values()) == len(routes)
    assert len(refused) == len(routes)
    assert all("one serves this path" in each.reason for each in refused)
