"""Event streams over a real connection: resumed, kept alive, bounded, and let go of."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from hub import hookimpl
from hub.contracts import Bus
from hub.errors import Unavailable
from hub.gateway.service import Tuning
from hub.gateway.sse import encode
from hub.permissions import Role
from hub.routes import Authenticator, Caller, ServerEvent
from hub.testing import eventually
from tests.fixtures.gateway import PATIENCE, RunSite, Site, Tick

EVENTS = {"Accept": "text/event-stream"}


def parse(text: str) -> list[dict[str, str]]:
    """Read events as a browser does (WHATWG HTML, section 9.2.6)."""
    events: list[dict[str, str]] = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if line[:1] not in {"", ":"}]
        event = {name: value for name, _, value in lines}
        if "data" in event:
            events.append(event)
    return events


def open_streams(site: Site) -> float:
    """Say what the gauge says."""
    return float(site.metrics.gauge("isaax_http_streams", "")._value.get())


async def read_until(response: aiohttp.ClientResponse, wanted: bytes) -> bytes:
    """Read until this has come."""
    seen = b""
    while wanted not in seen:
        chunk = await response.content.readany()
        assert chunk, f"the stream ended: {seen!r}"
        seen += chunk
    return seen


async def test_events_arrive_with_id_name_and_one_line_of_json(site: Site) -> None:
    async with site.request("GET", "/api/v1/follow/three", headers=EVENTS) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Accept"
        text = await response.text()
    assert text.startswith("retry: ")
    events = parse(text)
    assert [event["id"] for event in events] == ["1", "2", "3"]
    assert {event["event"] for event in events} == {"tick"}
    assert json.loads(events[0]["data"]) == {"number": 1, "padding": "two\nlines"}


async def test_it_goes_on_after_the_last_event(site: Site) -> None:
    headers = {**EVENTS, "Last-Event-ID": "2"}
    async with site.request("GET", "/api/v1/follow/three", headers=headers) as response:
        assert [event["id"] for event in parse(await response.text())] == ["3"]


@pytest.mark.parametrize("value", ["x" * 257, "a\tb"])
async def test_a_last_event_id_of_nobody_is_400(site: Site, value: str) -> None:
    headers = {**EVENTS, "Last-Event-ID": value}
    async with site.request("GET", "/api/v1/follow/three", headers=headers) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
    ],
)
async def test_the_client_chooses_between_page_and_stream(
    site: Site, accept: str, kind: str
) -> None:
    async with site.request("GET", "/api/v1/follow/three", headers={"Accept": accept}) as response:
        assert response.content_type == kind
        assert response.headers["Vary"] == "Accept"


async def test_head_opens_no_stream(site: Site) -> None:
    async with site.request("HEAD", "/api/v1/follow/flood", headers=EVENTS) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
    assert site.notes.ticks == 0
    await eventually(lambda: open_streams(site) == 0, "nothing is open")


async def test_heartbeats_keep_a_quiet_stream_alive(run_site: RunSite) -> None:
    async with (
        run_site(tuning=Tuning(heartbeat=0.01, drain=PATIENCE)) as site,
        site.request("GET", "/api/v1/follow/wait", headers=EVENTS) as response,
    ):
        seen = await read_until(response, b": still here\n\n: still here\n\n")
        assert parse(seen.decode()) == []
        site.notes.go_on.set()


async def test_a_client_that_is_gone_ends_its_iterator(site: Site) -> None:
    async with site.request("GET", "/api/v1/follow/wait", headers=EVENTS) as response:
        await read_until(response, b"retry: ")
        await eventually(lambda: open_streams(site) == 1, "the stream is open")
        response.close()
    async with asyncio.timeout(PATIENCE):
        await site.notes.closed.wait()
    await eventually(lambda: open_streams(site) == 0, "the stream is closed")


async def test_a_slow_client_takes_no_memory_and_is_let_go_of(run_site: RunSite) -> None:
    async with run_site(tuning=Tuning(stall=0.2, drain=PATIENCE)) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port, limit=1024)
        head = "GET /api/v1/follow/flood HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        writer.write(f"{head}Authorization: Bearer reader\r\n\r\n".encode())
        assert b"200 OK" in await reader.readline()
        async with asyncio.timeout(PATIENCE):
            await site.notes.closed.wait()
        # What the kernel buffers for a socket, and not one event more, was ever produced.
        assert site.notes.ticks * 10_000 < 64 * 1024 * 1024
        await eventually(lambda: open_streams(site) == 0, "the stream is closed")
        writer.transport.abort()


@pytest.mark.parametrize(
    ("mode", "code", "detail"),
    [("refused", "unavailable", "the log is away"), ("crash", "internal", "fault of the hub")],
)
async def test_an_error_on_the_way_is_an_event(
    site: Site, mode: str, code: str, detail: str
) -> None:
    async with site.request("GET", f"/api/v1/follow/{mode}", headers=EVENTS) as response:
        request_id = response.headers["X-Request-Id"]
        text = await response.text()
    events = parse(text)
    assert [event.get("event") for event in events] == [None, "problem"]
    problem = json.loads(events[1]["data"])
    assert problem["type"] == f"/problems/{code}"
    assert problem["instance"] == f"urn:uuid:{request_id}"
    assert detail in problem["detail"]
    assert "hunter2" not in text


async def test_an_account_has_a_bounded_number_of_streams(run_site: RunSite) -> None:
    path = "/api/v1/follow/wait"
    async with run_site(tuning=Tuning(per_account=2, drain=PATIENCE)) as site:
        async with (
            site.request("GET", path, headers=EVENTS) as one,
            site.request("GET", path, headers=EVENTS) as two,
            site.request("GET", path, headers=EVENTS) as three,
        ):
            assert (one.status, two.status, three.status) == (200, 200, 429)
            stranger: dict[str, Any] = {**EVENTS, "Authorization": "Bearer stranger"}
            async with site.request("GET", path, headers=stranger) as other:
                assert other.status == 200
                site.notes.go_on.set()
        await eventually(lambda: open_streams(site) == 0, "all are closed")
        async with site.request("GET", path, headers=EVENTS) as later:
            assert later.status == 200


async def test_the_drain_ends_streams_with_a_hint(run_site: RunSite) -> None:
    async with run_site() as site:
        response = await site.request("GET", "/api/v1/follow/wait", headers=EVENTS)
        await read_until(response, b"\n\n")
    rest = await response.content.read()
    assert rest.startswith(b"retry: ")
    assert site.notes.closed.is_set()


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_an_id_or_name_cannot_break_its_line(bad: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode(ServerEvent(Tick(1), id=bad))
    with pytest.raises(ValueError, match="one line"):
        encode(ServerEvent(Tick(1), event=bad))


def test_what_only_says_where_it_begins_is_no_event() -> None:
    """Without data a client notes the id and dispatches nothing (section 9.2.6)."""
    assert encode(ServerEvent(None, id="7")) == b"id: 7\n\n"


# ── who may not follow any more ──

QUICK = Tuning(every=0.02, patience=0.2, drain=PATIENCE)


@dataclass
class Door:
    """A plugin whose callers change as a test likes; looks are counted."""

    callers: dict[str, Caller] = field(default_factory=dict)
    looks: int = 0
    away: bool = False

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, bus: Bus) -> Caller | None:
            self.looks += 1
            if self.away:
                raise Unavailable("accounts do not answer")
            return self.callers.get(credential)

        return [Authenticator("door", "Door", check)]


MEMBER = Caller("acc_one", "ses_1", user="usr_1", role=Role.VIEWER, interactive=True)
CHANGES: dict[str, tuple[Caller | None, str]] = {
    "ended": (None, "unauthenticated"),
    "scopes": (structs.replace(MEMBER, scopes=("other:read",)), "forbidden"),
    "role": (structs.replace(MEMBER, role=Role.BILLING), "forbidden"),
    "removed": (structs.replace(MEMBER, account="acc_two"), "forbidden"),
    "factor": (structs.replace(MEMBER, needs_factor=True), "second-factor-required"),
    "narrowed": (structs.replace(MEMBER, narrowed={"prj_1": Role.BILLING}), ""),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_stream_ends_with_the_right_to_follow_it(run_site: RunSite, change: str) -> None:
    """With a problem that says why; where only what one sees has changed, to come back."""
    door = Door({"member": MEMBER})
    headers = {**EVENTS, "Authorization": "Door member"}
    async with (
        run_site(tuning=QUICK, door=door) as site,
        site.request("GET", "/api/v1/follow/flood", headers=headers) as response,
    ):
        await read_until(response, b"data: ")
        await eventually(lambda: door.looks > 3, "it was looked at while all is well")
        caller, code = CHANGES[change]
        door.callers = {} if caller is None else {"member": caller}
        events = parse(await response.text())
        problems = [e["data"] for e in events if e.get("event") == "problem"]
        assert [json.loads(one)["type"] for one in problems] == [f"/problems/{code}"] * bool(code)
        await eventually(lambda: open_streams(site) == 0, "the stream is closed")
        assert site.notes.closed.is_set()


async def test_a_stream_outlives_a_moment_without_an_answer(run_site: RunSite) -> None:
    """And no more than that: somebody who may not any more is not believed for ever."""
    door = Door({"member": MEMBER})
    headers = {**EVENTS, "Authorization": "Door member"}
    async with (
        run_site(tuning=replace(QUICK, patience=PATIENCE), door=door) as site,
        site.request("GET", "/api/v1/follow/wait", headers=headers) as response,
    ):
        await read_until(response, b"retry: ")
        for away in (True, False):
            door.away, looks = away, door.looks
            await eventually(lambda looks=looks: door.looks > looks + 2, "some looks")
            assert open_streams(site) == 1
        site.notes.go_on.set()
    async with (
        run_site(tuning=QUICK, door=door) as site,
        site.request("GET", "/api/v1/follow/wait", headers=headers) as response,
    ):
        door.away = True
        (event,) = parse(await response.text())
        assert json.loads(event["data"])["type"] == "/problems/unavailable"


async def test_many_streams_of_one_credential_are_one_look(run_site: RunSite) -> None:
    door = Door({"member": MEMBER})
    headers = {**EVENTS, "Authorization": "Door member"}
    async with (
        run_site(tuning=replace(QUICK, every=0.5), door=door) as site,
        AsyncExitStack() as opened,
    ):
        for _ in range(20):
            path = "/api/v1/follow/wait"
            await opened.enter_async_context(site.request("GET", path, headers=headers))
        await eventually(lambda: open_streams(site) == 20, "all are open")
        begun = door.looks
        await eventually(lambda: door.looks >= begun + 2, "two rounds of looks")
        assert door.looks < begun + 20
        site.notes.go_on.set()
