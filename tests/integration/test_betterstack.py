"""Better Stack: what is sent, within which limits, and what each answer means."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.betterstack import isaax_destinations
from tests.fixtures.http_receivers import TOKEN, BetterStackServer, connected

(BETTERSTACK,) = isaax_destinations()
START = 1_795_446_245_123_456
MIB = 1024 * 1024


async def test_an_event_holds_everything() -> None:
    """Compressed NDJSON, with the time to the microsecond and the id that a line keeps."""
    chunk = make_chunk(["one", "zwei ü"], time_us=START, first=41)
    batch = Batch("batch-1", (replace(chunk, labels={"site": "north"}),))
    async with connected(BetterStackServer(), BETTERSTACK) as (server, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert request.raw != request.body
    assert server.lines == ["one", "zwei ü"]
    assert server.events[0] == {
        "dt": "2026-11-23T15:04:05.123456Z",
        "message": "one",
        "level": "info",
        "host": "pump-1",
        "program": "demo",
        "facility": 1,
        "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "stream": "app",
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "labels": {"site": "north"},
    }


async def test_requests_keep_to_the_limits() -> None:
    """10 MiB a request and a line, even when nothing can be compressed."""
    texts = [f"{number}{'x' * 4 * MIB}" for number in range(5)]
    async with connected(BetterStackServer(), BETTERSTACK) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*texts[:3], "x" * 10 * MIB, *texts[3:]))
        assert [index for index, _ in failed.value.rejected] == [3]
        assert server.lines == texts
        assert [len(request.body) < 10 * MIB for request in server.requests] == [True] * 3


async def test_many_lines_go_in_several_requests() -> None:
    """20,000 a request."""
    async with connected(BetterStackServer(), BETTERSTACK) as (server, to):
        await to.send(make_batch(*map(str, range(20_001))))
        assert [len(request.body.split(b"\n")) for request in server.requests] == [20_000, 1]
        assert server.lines == [str(number) for number in range(20_001)]


@pytest.mark.parametrize("status", [402, 403, 406, 413])
async def test_some_answers_are_final(status: int) -> None:
    """Quota, token, format, size: with Better Stack's words and without the token."""
    async with connected(BetterStackServer(), BETTERSTACK) as (server, to):
        server.answers = [web.Response(status=status, text="sorry")]
        with pytest.raises(Rejected, match=f"answered {status}: sorry") as failed:
            await to.send(make_batch("one"))
        await to.send(make_batch("two"))
        assert server.lines == ["two"]
    assert TOKEN not in failed.value.reason


async def test_a_busy_answer_comes_again_after_its_wait() -> None:
    """429 with Retry-After."""
    async with connected(BetterStackServer(), BETTERSTACK) as (server, to):
        server.answers = [web.Response(status=429, headers={"Retry-After": "9"})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 9
        await to.send(make_batch("one"))
        assert server.lines == ["one"]


async def test_a_wrong_token_is_final() -> None:
    """403 Unauthorized."""
    async with connected(BetterStackServer(token="wrong"), BETTERSTACK) as (server, to):
        with pytest.raises(Rejected, match="answered 403: Unauthorized"):
            await to.send(make_batch("one"))
        assert server.lines == []


@pytest.mark.parametrize(
    "change", [{"token": "a b"}, {"token": "a\r\nX: y"}, {"token": ""}, {"url": "in.logs"}]
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(Invalid):
        structs.decode(BETTERSTACK.config, {"token": TOKEN} | change)
