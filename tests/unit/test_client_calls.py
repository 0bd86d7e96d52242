"""The client over real connections: what it sends, sends again, and makes of answers."""

import asyncio
import logging
import ssl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hub.client import Api, Patience, connect
from hub.client.asking import Ask
from hub.client.errors import (
    Away,
    BadId,
    BadUrl,
    Changed,
    ClientError,
    Lost,
    NotAllowed,
    NotLoggedIn,
    NotNow,
    NotThere,
    NotUnderstood,
    NotValid,
    Refused,
    TooMuch,
    Unreachable,
)
from hub.client.structs import ProjectBody
from hub.embedded.ports import free_port
from hub.files import write_private
from hub.secret import Secret
from tests.deadline import until
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.scripted import Scripted, done, drops, file, problem, says, scripted

T = TypeVar("T")

TOKEN = Secret("isx_a-token-of-ours")
SOON = Patience(seconds=5, first=0.001, longest=0.002)
PROJECT = {
    "id": "prj_1", "name": "greenhouse",
    "created_at": "2026-11-23T15:04:05Z", "updated_at": "2026-11-23T15:04:05Z",
}  # fmt: skip


async def use(server: Scripted | str, ask: Callable[[Api], T], patience: Patience = SOON) -> T:
    """Use a server, in a thread, as a program does."""
    url = server if isinstance(server, str) else server.url

    def work() -> T:
        with connect(url, TOKEN, patience=patience) as hub:
            return ask(hub)

    return await asyncio.to_thread(work)


# ── what is sent ──────────────────────────────────────────────────────────────────────────────


async def test_an_answer_is_typed_and_kept_as_it_came() -> None:
    async with scripted(says(PROJECT, ETag='"7"')) as server:
        answer = await use(server, lambda hub: hub.get_project("prj_1"))
    assert (answer.value.name, answer.value.created_at.year) == ("greenhouse", 2026)
    assert answer.etag == '"7"'
    assert b'"name": "greenhouse"' in answer.body
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("GET", "/api/v1/projects/prj_1")
    assert seen.headers["Authorization"] == f"Bearer {TOKEN.reveal()}"
    assert seen.headers["Accept"] == "application/json"
    assert "Idempotency-Key" not in seen.headers


async def test_a_file_comes_in_pieces() -> None:
    def fetch(hub: Api) -> bytes:
        with hub.get_archive("acc_1", "exp_1") as pieces:
            return b"".join(pieces)

    whole = [b"PK\x03\x04", b"\xff" * 100_000]
    async with scripted(file(*whole)) as server:
        assert await use(server, fetch) == b"".join(whole)
    async with scripted(file(*whole, cut=True)) as server:
        with pytest.raises(Lost):
            await use(server, fetch)
    async with scripted(problem(404, "not-found")) as server:
        with pytest.raises(NotThere):
            await use(server, fetch)


def test_a_file_that_breaks_off_is_not_written(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise Lost("it broke off")

    path = tmp_path / "all.zip"
    path.write_bytes(b"before")
    with pytest.raises(Lost):
        write_private(path, pieces())
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]
    write_private(path, iter([b"a", b"b"]))
    assert path.read_bytes() == b"ab"


async def test_what_a_newer_hub_adds_is_no_matter() -> None:
    async with scripted(says({**PROJECT, "colour": "green"})) as server:
        answer = await use(server, lambda hub: hub.get_project("prj_1"))
    assert answer.value.id == "prj_1"


async def test_ids_cannot_lead_elsewhere() -> None:
    async with scripted(says(PROJECT)) as server:
        await use(server, lambda hub: hub.get_project("a/../b?c#d e"))
        for bad in ("", ".", ".."):
            with pytest.raises(BadId):
                await use(server, lambda hub, bad=bad: hub.get_project(bad))
    assert [one.path for one in server.seen] == ["/api/v1/projects/a%2F..%2Fb%3Fc%23d%20e"]


async def test_bodies_may_be_structs_or_json() -> None:
    async with scripted(says(PROJECT, 201)) as server:
        await use(server, lambda hub: hub.create_project(ProjectBody(name="a")))
        await use(server, lambda hub: hub.create_project({"name": "a"}))
    first, second = server.seen
    assert first.body == second.body == b'{"name":"a"}'
    assert first.headers["Content-Type"] == "application/json"
    keys = {one.headers["Idempotency-Key"] for one in server.seen}
    assert len(keys) == 2


async def test_a_merge_patch_is_bound_to_what_was_read() -> None:
    async with scripted(says(PROJECT)) as server:
        await use(server, lambda hub: hub.patch_project("p", {"name": "b"}, if_match='"7"'))
    (seen,) = server.seen
    assert seen.headers["Content-Type"] == "application/merge-patch+json"
    assert seen.headers["If-Match"] == '"7"'


async def test_a_query_leaves_out_what_is_not_given() -> None:
    async with scripted(says([])) as server:
        await use(server, lambda hub: list(hub.list_devices("p", online=True, label="ä b")))
        await use(server, lambda hub: list(hub.list_devices("p")))
    assert [one.path.partition("?")[2] for one in server.seen] == ["online=true&label=%C3%A4+b", ""]


async def test_text_is_taken_as_it_is() -> None:
    async with scripted(says("text")) as server:
        answer = await use(server, lambda hub: hub.scrape_metrics("p"))
    assert answer.value == '"text"'
    assert server.seen[0].headers["Accept"] == "*/*"


# ── pages ─────────────────────────────────────────────────────────────────────────────────────


async def test_pages_are_followed_as_they_are_needed() -> None:
    pages = [
        says([PROJECT], Link='</api/v1/projects?limit=1&cursor=x%3D>; rel="next"'),
        says([{**PROJECT, "id": "prj_2"}]),
    ]
    async with scripted(*pages) as server:
        found = await use(server, lambda hub: [one.id for one in hub.list_projects(limit=1)])
    assert found == ["prj_1", "prj_2"]
    assert [one.path for one in server.seen] == [
        "/api/v1/projects?limit=1", "/api/v1/projects?limit=1&cursor=x%3D",
    ]  # fmt: skip


async def test_the_first_page_is_one_request() -> None:
    async with scripted(says([PROJECT], Link='</next>; rel="next"')) as server:
        answer = await use(server, lambda hub: hub.list_projects().first())
    assert len(answer.value) == len(server.seen) == 1


@pytest.mark.parametrize("link", ["//evil.example.com/x", "https://evil.example.com/x", "x"])
async def test_a_link_never_takes_the_token_elsewhere(link: str) -> None:
    async with scripted(says([PROJECT], Link=f'<{link}>; rel="next"')) as server:
        with pytest.raises(NotUnderstood):
            await use(server, lambda hub: list(hub.list_projects()))
    assert len(server.seen) == 1


async def test_a_redirect_is_not_followed() -> None:
    async with scripted(says({}, 308, Location="https://evil.example.com/")) as server:
        with pytest.raises(Refused, match=r"it points to https://evil\.example\.com/"):
            await use(server, lambda hub: hub.get_project("p"))
    assert len(server.seen) == 1


# ── refusals ──────────────────────────────────────────────────────────────────────────────────

REFUSALS = [
    (401, NotLoggedIn), (403, NotAllowed), (404, NotThere), (409, NotNow), (412, Changed),
    (422, NotValid), (429, TooMuch), (503, Away), (500, Refused), (428, Refused),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_is_an_error_of_its_kind(status: int, kind: type[ClientError]) -> None:
    errors = [{"pointer": "/config/port", "detail": "is required"}]
    act = problem(status, "odd", "because", errors=errors)
    async with scripted(act) as server:
        with pytest.raises(Refused) as raised:
            await use(server, lambda hub: hub.get_project("p"))
    refused = raised.value
    assert type(refused) is kind
    assert (refused.title, refused.detail, refused.problem.code) == ("It is odd", "because", "odd")
    assert [(one.pointer, one.detail) for one in refused.errors] == [
        ("/config/port", "is required")
    ]
    assert len(server.seen) == 1


async def test_it_is_told_which_permission_is_missing() -> None:
    challenge = 'Bearer realm="isaax", error="insufficient_scope", scope="projects:write"'
    act = problem(403, "forbidden", headers={"WWW-Authenticate": challenge})
    async with scripted(act) as server:
        with pytest.raises(NotAllowed) as raised:
            await use(server, lambda hub: hub.create_project({"name": "a"}))
    assert raised.value.scope == "projects:write"


@pytest.mark.parametrize("act", [
    says("<html>", 502), says({"detail": ["no", "problem"]}, 400), done(404),
])  # fmt: skip
async def test_what_is_no_hub_is_refused_in_words(act: Any) -> None:
    async with scripted(act) as server:
        with pytest.raises(Refused, match="not as a hub of Isaax does"):
            await use(server, lambda hub: hub.get_project("p"))


async def test_an_answer_of_something_else_is_not_understood() -> None:
    async with scripted(done(200)) as server:
        with pytest.raises(NotUnderstood, match="is this its address"):
            await use(server, lambda hub: hub.get_project("p"))
    async with scripted(says({**PROJECT, "name": 7})) as server:
        with pytest.raises(NotUnderstood, match=r"/name Expected.*another version"):
            await use(server, lambda hub: hub.get_project("p"))


# ── again ─────────────────────────────────────────────────────────────────────────────────────

AGAIN: list[Callable[[Api], Any]] = [
    lambda hub: hub.get_project("p"),
    lambda hub: hub.create_project({"name": "a"}),
    lambda hub: hub.patch_project("p", {"name": "a"}),
    lambda hub: hub.delete_project("p"),
]


@pytest.mark.parametrize("ask", AGAIN)
async def test_what_is_safe_is_sent_again_when_the_connection_is_lost(
    ask: Callable[[Api], Any],
) -> None:
    async with scripted(drops, drops, says(PROJECT)) as server:
        await use(server, ask)
    first, *others = server.seen
    assert len(others) == 2
    for other in others:
        assert (other.path, other.body) == (first.path, first.body)
        assert other.headers.get("Idempotency-Key") == first.headers.get("Idempotency-Key")


async def test_what_is_bound_to_a_version_is_not_sent_again() -> None:
    """The first one may have made it another version: nobody would know whose 412 it is."""
    async with scripted(drops, says(PROJECT)) as server:
        with pytest.raises(Lost, match="may have been done"):
            await use(server, lambda hub: hub.patch_project("p", {"name": "b"}, if_match='"1"'))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("ask", "repeatable"),
    [
        (Ask("POST", "/x"), False),
        (Ask("POST", "/x", keyed=True), True),
        (Ask("PUT", "/x"), True),
        (Ask("PUT", "/x", if_absent=True), False),
        (Ask("DELETE", "/x", if_match='"1"'), False),
    ],
)
def test_what_a_condition_may_not_hold_for_twice_is_sent_once(ask: Ask, repeatable: bool) -> None:
    assert ask.repeatable is repeatable


async def test_what_a_lost_delete_has_deleted_is_deleted() -> None:
    async with scripted(drops, problem(404, "not-found")) as server:
        await use(server, lambda hub: hub.delete_project("p"))
    async with scripted(problem(404, "not-found")) as server:
        with pytest.raises(NotThere):
            await use(server, lambda hub: hub.delete_project("p"))


@pytest.mark.parametrize("status", [429, 503, 409])
async def test_who_is_asked_to_wait_waits(status: int) -> None:
    act = problem(status, "wait", headers={"Retry-After": "0"})
    async with scripted(act, act, says(PROJECT, 201)) as server:
        await use(server, lambda hub: hub.create_project({"name": "a"}))
    assert len({one.headers["Idempotency-Key"] for one in server.seen}) == 1
    assert len(server.seen) == 3


async def test_who_is_asked_to_wait_for_too_long_gives_up_at_once() -> None:
    async with scripted(problem(503, "away", headers={"Retry-After": "3600"})) as server:
        with pytest.raises(Away) as raised:
            await use(server, lambda hub: hub.get_project("p"))
    assert raised.value.again_after == 3600
    assert len(server.seen) == 1


async def test_patience_ends() -> None:
    async with scripted(drops) as server:
        patience = Patience(seconds=0.05, first=0.01, longest=0.01)
        with pytest.raises(Lost):
            await use(server, lambda hub: hub.get_project("p"), patience)
    assert 1 < len(server.seen) < 20


# ── connections ───────────────────────────────────────────────────────────────────────────────


async def test_where_nobody_listens_it_is_told_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=f"nothing listens at {url}: is the hub running"):
        await use(url, lambda hub: hub.get_project("p"), Patience(seconds=3600, first=3600))


async def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(Unreachable, match=r"no host of the name in http://nowhere\.invalid"):
        await use("http://nowhere.invalid", lambda hub: hub.get_project("p"))


async def test_a_hub_that_was_there_is_waited_for() -> None:
    """It breaks off, is not there for a while, and is then started again at its address."""
    port, waits = free_port(), []
    patience = Patience(seconds=20, first=0.01, longest=0.01, sleep=waits.append)
    async with scripted(drops, port=port) as first:
        asking = asyncio.create_task(
            use(first, lambda hub: hub.create_project({"name": "a"}), patience)
        )
        await until(lambda: bool(first.seen))
    await until(lambda: len(waits) > 3, what="attempts that were refused")
    async with scripted(says(PROJECT, 201), port=port) as second:
        assert (await asking).value.id == "prj_1"
    assert second.seen[0].headers["Idempotency-Key"] == first.seen[0].headers["Idempotency-Key"]


async def test_tls_is_verified_and_explained(authority: TestAuthority, tmp_path: Path) -> None:
    certificate, key = authority.issue("127.0.0.1").write(tmp_path, "hub")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    async with scripted(says(PROJECT), tls=tls) as server, scripted(says(PROJECT)) as plain:

        def trusting() -> str:
            with connect(server.url, TOKEN, ca_file=ca) as hub:
                return hub.get_project("p").value.id

        assert await asyncio.to_thread(trusting) == "prj_1"
        with pytest.raises(Unreachable, match=r"is not trusted \(.*\): name the file of the auth"):
            await use(server, lambda hub: hub.get_project("p"))
        with pytest.raises(Unreachable, match="does not speak TLS"):
            await use(plain.url.replace("http:", "https:"), lambda hub: hub.get_project("p"))
    assert len(server.seen) == 1
    with pytest.raises(BadUrl, match="not a PEM file"), connect("https://h", TOKEN, ca_file=key):
        pass


@pytest.mark.parametrize(
    "url",
    ["hub.example.com", "ftp://hub", "http://", "http://u:p@hub", "http://hub:port", "http://["],
)
def test_a_bad_url_is_told(url: str) -> None:
    with pytest.raises(BadUrl), connect(url, TOKEN):
        pass


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/api/v1", "http://127.0.0.1:1/", "http://127.0.0.1:1"]
)
async def test_a_path_below_the_url_counts_for_nothing(url: str) -> None:
    with pytest.raises(Unreachable, match=r"nothing listens at http://127\.0\.0\.1:1:"):
        await use(url, lambda hub: hub.get_project("p"))


async def test_the_token_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(drops, problem(500, "internal"), problem(401, "unauthenticated")) as server:
        for _ in range(2):
            with pytest.raises(ClientError) as raised:
                await use(server, lambda hub: hub.get_project("p"))
            error = raised.value
            shown = "".join(traceback.format_exception(error)) + repr(error) + str(error)
            assert TOKEN.reveal() not in shown
    with connect(server.url, TOKEN) as hub:
        assert TOKEN.reveal() not in repr(hub) + repr(vars(hub)["_calls"].__dict__)
    assert TOKEN.reveal() not in caplog.text
