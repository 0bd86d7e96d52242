"""Splunk's HTTP Event Collector: events, acknowledgement by the indexer, and its codes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import eventually, make_batch, make_chunk
from plugins.splunk_hec import isaax_destinations
from tests.fixtures.http_receivers import MB, TOKEN, connected
from tests.fixtures.index_receivers import SplunkServer

(SPLUNK,) = isaax_destinations()
START = 1_795_446_245_123_456


async def test_an_event_holds_everything() -> None:
    """The text as it is, and the rest as indexed fields; a label hides none of them."""
    chunk = make_chunk(["one", "two\nlines"], time_us=START, first=41, priorities=[11, 14])
    labels = {"site": "north", "device": "mine"}
    batch = Batch("batch-1", (replace(chunk, labels=labels),))
    async with connected(SplunkServer(index="devices"), SPLUNK) as (server, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert server.lines == ["one", "two\nlines"]
    assert server.events[0] == {
        "time": 1795446245.123456,
        "host": "pump-1",
        "source": "app",
        "sourcetype": "isaax",
        "event": "one",
        "fields": {
            "site": "north",
            "project": "prj_aaaaaaaaaaaaaaaaaaaa",
            "device": "dev_aaaaaaaaaaaaaaaaaaaa",
            "stream": "app",
            "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
            "program": "demo",
            "severity": "err",
            "facility": "1",
        },
        "index": "devices",
    }


async def test_a_line_without_text_is_taken() -> None:
    """Splunk refuses an empty event (code 13)."""
    async with connected(SplunkServer(), SPLUNK) as (server, to):
        await to.send(make_batch("", "  ", "one"))
    assert server.lines == ["", "  ", "one"]


async def test_with_acknowledgement_lines_are_taken_when_they_are_indexed() -> None:
    """200 says no more than that they arrived."""
    server = SplunkServer(acks=True, polls=10**9, acknowledge=True)
    async with connected(server, SPLUNK) as (_, to):
        sending = asyncio.create_task(to.send(make_batch("one")))
        await eventually(lambda: server.asked.get(0, 0) >= 2, "it asks again")
        assert not sending.done()
        server.polls = 0
        await sending
    channels = {request.headers["x-splunk-request-channel"] for request in server.requests}
    assert len(channels) == 1
    assert server.lines == ["one"]


async def test_what_is_not_indexed_in_time_comes_again() -> None:
    """As long as the config gives."""
    server = SplunkServer(acks=True, polls=10**9, acknowledge=True, acknowledge_within=1)
    async with connected(server, SPLUNK) as (_, to):
        with pytest.raises(Retry, match="not indexed within 1 seconds"):
            await to.send(make_batch("one"))


async def test_a_token_without_acknowledgement_is_said_so() -> None:
    """The user then knows what to set; the lines are kept as dead letters."""
    server = SplunkServer(acks=False, acknowledge=True)
    async with connected(server, SPLUNK) as (_, to):
        with pytest.raises(Rejected, match="enable indexer acknowledgement"):
            await to.send(make_batch("one"))


async def test_asking_a_busy_indexer_comes_again() -> None:
    """What it took is sent again, rather than be taken for granted."""
    server = SplunkServer(acks=True, acknowledge=True)
    async with connected(server, SPLUNK) as (_, to):
        server.answers = [
            web.json_response({"text": "Success", "code": 0, "ackId": 0}),
            web.json_response({"text": "Server is busy", "code": 9}, status=503),
        ]
        with pytest.raises(Retry, match="Server is busy"):
            await to.send(make_batch("one"))


async def test_an_event_that_is_not_understood_is_refused_alone() -> None:
    """Its number is in the answer; the others are sent again, and arrive."""
    texts = ["one", "two", "bad", "three"]
    async with connected(SplunkServer(), SPLUNK) as (server, to):
        server.malformed = "bad"
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*texts))
        assert failed.value.rejected == ((2, "answered 400: Invalid data format (code 6)"),)
        assert failed.value.retry == (0, 1, 3)
        assert failed.value.after == 0
        await to.send(make_batch(*(texts[index] for index in failed.value.retry)))
        assert server.lines == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"text": "Incorrect index", "code": 7, "invalid-event-number": 1}),
        (400, {"text": "Invalid data format", "code": 6}),
        (400, {"text": "Invalid data format", "code": 6, "invalid-event-number": 99}),
        (400, {"text": "Data channel is missing", "code": 10}),
        (401, {"text": "Invalid authorization", "code": 3}),
        (403, {"text": "Token disabled", "code": 1}),
        (413, {"text": "Request entity too large", "code": 27}),
    ],
)
async def test_some_answers_are_final(status: int, body: dict[str, Any]) -> None:
    """For all lines, with Splunk's words."""
    async with connected(SplunkServer(), SPLUNK) as (server, to):
        server.answers = [web.json_response(body, status=status)]
        with pytest.raises(Rejected, match=body["text"]) as failed:
            await to.send(make_batch("one", "two"))
    assert TOKEN not in repr(failed.value)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_collector_asks_for_another_try(status: int) -> None:
    """503 with code 9: its queues are full."""
    busy = {"text": "Server is busy", "code": 9}
    async with connected(SplunkServer(), SPLUNK) as (server, to):
        server.answers = [web.json_response(busy, status=status, headers={"Retry-After": "6"})]
        with pytest.raises(Retry, match="Server is busy") as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 6
        await to.send(make_batch("one"))
        assert server.lines == ["one"]


async def test_requests_keep_to_the_limits() -> None:
    """1 MB and 10,000 events a request; a line over 1 MB becomes a dead letter, alone."""
    many = [str(number) for number in range(3_000)]
    large = [f"{number}{'x' * 400_000}" for number in range(5)]
    async with connected(SplunkServer(gzip=False), SPLUNK) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*large, "x" * MB))
        assert [index for index, _ in failed.value.rejected] == [5]
        assert len(server.requests) == 3
        assert "content-encoding" not in server.requests[0].headers
        await to.send(make_batch(*many))
        assert all(len(request.body) <= MB for request in server.requests)
    assert server.lines == large + many


async def test_a_wrong_token_is_final() -> None:
    """403, without the token."""
    async with connected(SplunkServer(token="wr0ng"), SPLUNK) as (server, to):
        with pytest.raises(Rejected, match="Invalid token") as failed:
            await to.send(make_batch("one"))
    assert "wr0ng" not in repr(failed.value)
    assert server.lines == []


@pytest.mark.parametrize(
    "change",
    [
        {"token": "a b"}, {"token": ""}, {"index": "a b"}, {"sourcetype": "a\n"},
        {"acknowledge_within": 0}, {"acknowledge_within": 1_000}, {"url": "splunk:8088"},
    ],
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(Invalid):
        structs.decode(SPLUNK.config, {"url": "https://s.example:8088", "token": TOKEN} | change)
