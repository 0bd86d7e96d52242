"""Following a project's log over HTTP, as `curl -N` does."""

import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fixtures.spine import Device, Spine


@contextmanager
def tail(spine: Spine, path: str, last: str = "") -> Iterator["queue.Queue[dict[str, str]]"]:
    """Follow; gives each event as its fields."""
    connection = http.client.HTTPConnection("127.0.0.1", spine.http, timeout=30)
    headers = {"Authorization": f"Bearer {spine.token}", "Accept": "text/event-stream"}
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

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield events
    finally:
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
