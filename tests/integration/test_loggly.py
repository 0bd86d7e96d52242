"""Loggly: what is sent, within which limits, and that its token is never seen."""

import traceback
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Partial, Rejected, Retry
from hub.push import trace
from hub.testing import make_batch, make_chunk
from plugins.loggly import isaax_destinations
from tests.fixtures.http_receivers import MB, TOKEN, LogglyServer, connected

(LOGGLY,) = isaax_destinations()
START = 1_795_446_245_123_456


async def test_an_event_holds_everything() -> None:
    """Each line is one JSON object, whatever it holds, with the id that it keeps."""
    chunk = make_chunk(["one", "two\nlines"], time_us=START, first=41, priorities=[11, 14])
    batch = Batch("batch-1", (replace(chunk, labels={"site": "north"}),))
    async with connected(LogglyServer(), LOGGLY) as (server, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.path == f"/bulk/{TOKEN}/tag/isaax,pumps/"
    assert server.lines == ["one", "two\nlines"]
    assert server.events[0] == {
        "timestamp": "2026-11-23T15:04:05.123456Z",
        "message": "one",
        "host": "pump-1",
        "program": "demo",
        "severity": "err",
        "facility": 1,
        "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "stream": "app",
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "labels": {"site": "north"},
    }


async def test_requests_keep_to_the_limits() -> None:
    """5 MB a request; an event over 1 MB becomes a dead letter, alone."""
    long = "x" * 900_000
    texts = [f"{number}{long}" for number in range(12)]
    async with connected(LogglyServer(), LOGGLY) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*texts[:6], "x" * MB, *texts[6:]))
        assert [index for index, _ in failed.value.rejected] == [6]
        assert failed.value.retry == ()
        assert server.lines == texts
        assert [len(request.body) < 5 * MB for request in server.requests] == [True] * 3


async def test_what_follows_a_busy_answer_comes_again_in_order() -> None:
    """The first request was taken; the second is asked to wait, and the third is not tried."""
    texts = [f"{number}{'x' * 900_000}" for number in range(12)]
    async with connected(LogglyServer(), LOGGLY) as (server, to):
        server.answers = [web.Response(), web.Response(status=429, headers={"Retry-After": "3"})]
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*texts))
        assert len(server.requests) == 2
    assert failed.value.retry == tuple(range(5, 12))
    assert failed.value.after == 3


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
async def test_a_token_that_an_answer_repeats_is_masked(status: int) -> None:
    """In the reason, its causes, and what a test of the integration shows."""
    noted: list[Any] = []
    async with connected(LogglyServer(), LOGGLY) as (server, to):
        server.answers = [web.Response(status=status, text=f"no such thing: /bulk/{TOKEN}/tag/")]
        reset = trace.set(noted)
        with pytest.raises((Retry, Rejected)) as failed:
            await to.send(make_batch("one"))
        trace.reset(reset)
    shown = "".join(traceback.format_exception(failed.value)) + repr(noted)
    assert "/bulk/********/tag/" in shown
    assert TOKEN not in shown


async def test_a_broken_answer_shows_no_token() -> None:
    """Errors of the HTTP library name the URL: they are not carried along."""
    async with connected(LogglyServer(), LOGGLY) as (server, to):
        await server.end()
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
    assert TOKEN not in "".join(traceback.format_exception(failed.value))


async def test_a_wrong_token_is_final() -> None:
    """Loggly answers 403; nothing was taken."""
    async with connected(LogglyServer(token="another-token"), LOGGLY) as (server, to):
        with pytest.raises(Rejected, match="answered 403: Forbidden") as failed:
            await to.send(make_batch("one"))
        assert server.lines == []
    assert "another-token" not in failed.value.reason


@pytest.mark.parametrize(
    "change",
    [
        {"token": "../../other"}, {"token": "with space"}, {"token": ""}, {"token": "short\n"},
        {"tags": []}, {"tags": ["a,b"]}, {"tags": ["a/b"]}, {"tags": [""]}, {"tags": ["-a"]},
        {"tags": ["a\n"]}, {"tags": ["x" * 65]}, {"tags": ["a"] * 21},
        {"url": "https://user:pw@example.com"}, {"url": "https://example.com/\n"}, {"ca": "none"},
    ],
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once, and without a word of the token."""
    with pytest.raises(Invalid) as refused:
        structs.decode(LOGGLY.config, {"token": TOKEN} | change)
    assert not change.get("token") or change["token"] not in refused.value.detail
