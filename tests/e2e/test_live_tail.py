"""Following a project's log over HTTP, as `curl -N` does."""

import http.client
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.permissions import Role
from tests.fixtures.people import PASSWORD, Person
from tests.fixtures.spine import Answer, Api, Device, Spine
from tests.fixtures.tenants import joined


@contextmanager
def tail(
    spine: Spine, path: str, last: str = "", *, token: str = "", port: int = 0
) -> Iterator["queue.Queue[dict[str, str]]"]:
    """Follow; gives each event as its fields.

    Args:
        token: of who follows; "" is the owner's.
        port: of the gateway; 0 is the spine's own.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port or spine.http, timeout=30)
    headers = {"Authorization": f"Bearer {token or spine.token}", "Accept": "text/event-stream"}
    connection.request("GET", path, headers=headers | ({"Last-Event-ID": last} if last else {}))
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    events: queue.Queue[dict[str, str]] = queue.Queue()

    def read() -> None:
        fields: dict[str, str] = {}
        try:
            for raw in response:
                line = raw.decode().rstrip("\n")
                if not line and "data" in fields:
                    events.put(fields)
                    fields = {}
                elif line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
        except (OSError, ValueError, AttributeError):
            return  # closed by the test
        events.put({"event": "end"})

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield events
    finally:
        if connection.sock is not None:  # the hub has not closed it
            connection.sock.shutdown(socket.SHUT_RDWR)  # ends the reader
        reader.join()
        response.close()
        connection.close()


def take(events: "queue.Queue[dict[str, str]]", count: int) -> list[dict[str, Any]]:
    """Give the next events, decoded."""
    found = [events.get(timeout=20) for _ in range(count)]
    return [json.loads(event["data"]) | {"id": event["id"]} for event in found]


def test_a_tail_shows_lines_as_they_come_and_goes_on_after_a_break(
    spine: Spine, tmp_path: Path
) -> None:
    """Each line once, in order, over a reconnect with `Last-Event-ID`; nobody else's lines."""
    project, other = spine.project(), spine.project()
    path = f"/api/v1/projects/{project.id}/logs?stream=app"
    gate = tmp_path / "gate"
    app = f"while [ ! -e {gate} ]; do sleep 0.05; done; seq 1 300; sleep 1000"
    devices = [Device.make(tmp_path / one.id, spine, one, app) for one in (project, other)]
    for device in devices:
        device.start()
    try:
        with tail(spine, path) as events:
            gate.touch()
            seen = take(events, 100)
        with tail(spine, path, last=seen[-1]["id"]) as events:
            seen += take(events, 200)
        assert [item["line"]["message"] for item in seen] == [str(n) for n in range(1, 301)]
        assert {item["line"]["device"] for item in seen} == {devices[0].id}
    finally:
        assert [device.stop() for device in devices] == [0, 0]


def test_a_stranger_can_neither_read_nor_follow(spine: Spine) -> None:
    """Another account's project is one that is not there; without a token it is 401."""
    missing = spine.api.ask("GET", "/projects/prj_aaaaaaaaaaaaaaaaaaaa/logs")
    assert missing.status == 404
    following = spine.api.ask(
        "GET", "/projects/prj_aaaaaaaaaaaaaaaaaaaa/logs", headers={"Accept": "text/event-stream"}
    )
    assert following.status == 404
    nobody = spine.api.ask("GET", "/projects", headers={"Authorization": "Bearer isx_wrong"})
    assert nobody.status == 401


def session_of(spine: Spine, who: Person) -> Api:
    """Log somebody in."""
    body = {"email": who.email, "password": PASSWORD}
    made = Api(spine.api.base, "").ask("POST", "/sessions", body)
    assert made.status == 201, made
    return Api(spine.api.base, made.body["token"])


Ends = Callable[[Spine, Person, str, Api], Answer]
WAYS: dict[str, tuple[Ends, str]] = {
    "the member is removed": (
        lambda spine, who, _, __: spine.api.ask(
            "DELETE", f"/accounts/{account_of(spine)}/members/{who.id}"
        ),
        "unauthenticated",
    ),
    "the role may not read": (
        lambda spine, who, _, __: spine.api.ask(
            "PATCH", f"/accounts/{account_of(spine)}/members/{who.id}", {"role": "billing"}
        ),
        "forbidden",
    ),
    "the role is narrowed": (
        lambda spine, who, project, _: spine.api.ask(
            "PUT", f"/projects/{project}/members/{who.id}", {"role": "billing"}
        ),
        "",
    ),
    "the token is revoked": (
        lambda spine, who, _, session: session.ask(
            "DELETE", f"/api-tokens/{session.get('/api-tokens')[0]['id']}"
        ),
        "unauthenticated",
    ),
    "they delete themselves": (
        lambda spine, who, _, session: session.ask("DELETE", "/users/me"),
        "unauthenticated",
    ),
}


def account_of(spine: Spine) -> str:
    """Give the account that the tests are in."""
    return str(spine.api.get("/accounts")[0]["id"])


def seen_at_the_end(events: "queue.Queue[dict[str, str]]") -> list[str]:
    """Wait for the end of a stream, and give the types of the problems that came before."""
    found: list[str] = []
    while (event := events.get(timeout=20))["event"] != "end":
        if event["event"] == "problem":
            found.append(json.loads(event["data"])["type"].removeprefix("/problems/"))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_tail_ends_with_the_right_to_it(spine: Spine, way: str) -> None:
    """Wherever it went, and nobody else's ends; who comes back is refused."""
    project, account = spine.project(), account_of(spine)
    path = f"/api/v1/projects/{project.id}/logs"
    who, other = joined(spine, account, Role.VIEWER), joined(spine, account, Role.VIEWER)
    take_away, code = WAYS[way]
    session = session_of(spine, who)
    with (
        tail(spine, path, token=other.tokens[account]) as still,
        tail(spine, path, token=who.tokens[account]) as events,
    ):
        assert take_away(spine, who, project.id, session).status in {200, 202, 204}
        assert seen_at_the_end(events) == [code] * bool(code)
        assert not any(still.get_nowait()["event"] == "end" for _ in range(still.qsize()))
    refused = Api(spine.api.base, who.tokens[account]).ask("GET", f"/projects/{project.id}/logs")
    assert refused.status in {401, 403, 404}


def test_a_tail_ends_with_its_session(spine: Spine) -> None:
    """Of a browser that was logged out elsewhere."""
    project, account = spine.project(), account_of(spine)
    who = joined(spine, account, Role.VIEWER)
    follower, elsewhere = session_of(spine, who), session_of(spine, who)
    with tail(spine, f"/api/v1/projects/{project.id}/logs", token=follower.token) as events:
        mine = follower.get("/sessions/current")["id"]
        assert elsewhere.ask("DELETE", f"/sessions/{mine}").status == 204
        assert seen_at_the_end(events) == ["unauthenticated"]
