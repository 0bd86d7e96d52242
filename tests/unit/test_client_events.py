"""The client follows event streams: whatever their form, and over breaks."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from hub.client import Patience, connect
from hub.client.errors import (
    Away,
    ClientError,
    Lost,
    NotLoggedIn,
    NotThere,
    NotUnderstood,
    Unreachable,
)
from hub.client.events import Events
from hub.client.structs import TailLine
from hub.secret import Secret
from tests.deadline import until
from tests.fixtures.scripted import Scripted, drops, events, problem, says, scripted

SOON = Patience(first=0.001, longest=0.002)


def line(number: int, message: str = "", missed: int = 0) -> str:
    """Write the event of a line."""
    tail = {
        "position": str(number), "missed": missed,
        "line": {
            "id": f"l{number}", "time": "", "received": "", "device": "", "host": "",
            "stream": "app", "severity": "", "facility": "", "program": "",
            "message": message or f"line {number}",
        },
    }  # fmt: skip
    return f"event: line\nid: {number}\ndata: {json.dumps(tail, ensure_ascii=False)}\n\n"


async def follow(
    server: Scripted | str,
    count: int,
    *,
    begin: bool = False,
    on_break: Callable[[ClientError], None] | None = None,
) -> list[str]:
    """Give the first messages of a tail."""
    url = server if isinstance(server, str) else server.url

    def work() -> list[str]:
        with connect(url, Secret("isx_x"), patience=SOON) as hub:
            tail: Events[TailLine] = hub.follow_logs("p", stream="app")
            if on_break:
                tail.on_break = on_break
            if begin:
                tail.begin()
            found: list[str] = []
            for event in tail:
                found.append(event.value.line.message)
                if len(found) == count:
                    break
            tail.close()
            return found

    async with asyncio.timeout(20):
        return await asyncio.to_thread(work)


async def test_events_are_typed_whatever_stands_between_them() -> None:
    stream = [
        "retry: 1\n\n: a comment\n\n", line(1), ": still here\n\n", "unknown: field\n",
        line(2, "three\n\u2028parts\x85of\rone"), line(3).replace("\n", "\r\n"),
        line(4)[:20], line(4)[20:],
    ]  # fmt: skip
    async with scripted(events(*stream)) as server:
        found = await follow(server, 4)
    assert found == ["line 1", "three\n\u2028parts\x85of\rone", "line 3", "line 4"]
    (seen,) = server.seen
    assert seen.path == "/api/v1/projects/p/logs?stream=app"
    assert seen.headers["Accept"] == "text/event-stream"
    assert "Last-Event-ID" not in seen.headers


async def test_it_goes_on_after_a_break_and_takes_no_half_event() -> None:
    broken: list[ClientError] = []
    script = [
        events("retry: 1\n\n", line(1), line(2), line(3)[:-1], cut=True),
        drops,
        problem(503, "unavailable", headers={"Retry-After": "0"}),
        events("retry: 1\n\n", line(3), line(4)),
        events("retry: 1\n\n", line(5)),
    ]
    async with scripted(*script) as server:
        found = await follow(server, 5, on_break=broken.append)
    assert found == [f"line {n}" for n in range(1, 6)]
    last = [seen.headers.get("Last-Event-ID") for seen in server.seen]
    assert last == [None, "2", "2", "2", "4"]
    assert [type(one) for one in broken] == [Lost, Lost, Away, Lost]


async def test_where_it_begins_is_known_before_the_first_line() -> None:
    """Whoever is cut off before the first line goes on from there."""
    script = [events("retry: 1\n\n", "id: 7\n\n", cut=True), events("retry: 1\n\n", line(8))]
    async with scripted(*script) as server:
        assert await follow(server, 1, begin=True) == ["line 8"]
    assert server.seen[1].headers["Last-Event-ID"] == "7"


async def test_what_is_there_at_once_is_not_lost_by_beginning() -> None:
    async with scripted(events("retry: 1\n\n", line(1), line(2))) as server:
        assert await follow(server, 2, begin=True) == ["line 1", "line 2"]


async def test_a_problem_that_passes_is_waited_out_and_another_ends_it() -> None:
    away = {"type": "/problems/unavailable", "title": "t", "status": 503, "instance": "i"}
    gone = {"type": "/problems/not-found", "title": "t", "status": 404, "instance": "i"}
    script = [
        events("retry: 1\n\n", line(1), f"event: problem\ndata: {json.dumps(away)}\n\n"),
        events("retry: 1\n\n", line(2), f"event: problem\ndata: {json.dumps(gone)}\n\n"),
    ]
    async with scripted(*script) as server:
        with pytest.raises(NotThere):
            await follow(server, 3)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (problem(401, "unauthenticated"), NotLoggedIn),
        (problem(404, "not-found"), NotThere),
        (problem(503, "unavailable", headers={"Retry-After": "0"}), Away),
        (drops, Lost),
        (says([]), NotUnderstood),
    ],
)
async def test_what_cannot_be_followed_at_first_is_told_at_once(
    act: Any, kind: type[ClientError]
) -> None:
    async with scripted(act) as server:
        with pytest.raises(kind):
            await follow(server, 1)
    assert len(server.seen) == 1


async def test_a_token_that_is_revoked_meanwhile_ends_it() -> None:
    script = [events("retry: 1\n\n", line(1)), problem(401, "unauthenticated")]
    async with scripted(*script) as server:
        with pytest.raises(NotLoggedIn):
            await follow(server, 2)


async def test_an_event_that_is_not_understood_is_told() -> None:
    async with scripted(events("data: {}\n\n")) as server:
        with pytest.raises(NotUnderstood, match="another version"):
            await follow(server, 1)


async def test_a_hub_that_is_away_for_a_while_is_waited_for() -> None:
    broken: list[ClientError] = []
    async with scripted(events("retry: 1\n\n", line(1)), drops) as server:
        port = int(server.url.rpartition(":")[2])
        following = asyncio.create_task(follow(server, 2, on_break=broken.append))
        await until(lambda: bool(broken), what="a break")
    await until(lambda: isinstance(broken[-1], Unreachable), what="attempts that were refused")
    async with scripted(events("retry: 1\n\n", line(2)), port=port) as server:
        assert await following == ["line 1", "line 2"]
    assert server.seen[0].headers["Last-Event-ID"] == "1"
