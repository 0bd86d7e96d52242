"""Elasticsearch: documents, what became of each, and requests that are too large."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Partial, Rejected, Retry
from hub.protocol import Lines
from hub.testing import make_batch, make_chunk
from plugins.elasticsearch import isaax_destinations
from tests.fixtures.http_receivers import MB, connected
from tests.fixtures.index_receivers import ElasticsearchServer

(ELASTICSEARCH,) = isaax_destinations()
START = 1_795_446_245_123_456
ID = "dev_aaaaaaaaaaaaaaaaaaaa-app-1-"


async def test_a_document_has_the_names_of_ecs() -> None:
    """And the line's id, which is the document's."""
    chunk = make_chunk(["one"], time_us=START, first=41, priorities=[11], programs=['"demo"'])
    batch = Batch("batch-1", (replace(chunk, labels={"site": "north"}),))
    async with connected(ElasticsearchServer(), ELASTICSEARCH) as (server, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    syslog = {
        "priority": 11,
        "facility": {"code": 1},
        "severity": {"code": 3, "name": "err"},
        "appname": '"demo"',
    }
    assert server.documents == {
        ("logs-isaax-default", f"{ID}41"): {
            "@timestamp": "2026-11-23T15:04:05.123456Z",
            "message": "one",
            "host": {"name": "pump-1", "id": "dev_aaaaaaaaaaaaaaaaaaaa"},
            "log": {"level": "err", "syslog": syslog},
            "event": {"id": f"{ID}41", "dataset": "isaax.app"},
            "labels": {"site": "north", "project": "prj_aaaaaaaaaaaaaaaaaaaa"},
        }
    }


async def test_an_index_may_have_the_lines_own_day() -> None:
    """In UTC; a clock that is far off makes no index of the year 60,000."""
    chunk = make_chunk(["a", "b", "c", "d"])
    times = [START, START + 9 * 3_600 * 1_000_000, -5, 2**62]
    lines = Lines(times, 14, "demo", ["a", "b", "c", "d"])
    server = ElasticsearchServer(index="isaax-%Y.%m.%d-%H")
    async with connected(server, ELASTICSEARCH) as (_, to):
        await to.send(Batch("batch-1", (replace(chunk, lines=lines),)))
    assert [index for index, _ in server.documents] == [
        "isaax-2026.11.23-15", "isaax-2026.11.24-00", "isaax-1970.01.01-00", "isaax-9999.12.31-23",
    ]  # fmt: skip


async def test_a_document_that_is_there_already_is_a_success() -> None:
    """409: so a line that comes again is there once."""
    async with connected(ElasticsearchServer(), ELASTICSEARCH) as (server, to):
        await to.send(make_batch("one", "two", time_us=START))
        await to.send(make_batch("one", "two", "three", time_us=START))
    assert server.lines == ["one", "two", "three"]


async def test_failures_inside_a_success_are_told_by_line() -> None:
    """Busy and blocked lines come again; what is wrong with itself is refused, with its reason."""
    async with connected(ElasticsearchServer(), ELASTICSEARCH) as (server, to):
        server.problems = {
            "busy": [(429, "es_rejected_execution_exception", "queue is full")],
            "down": [(503, "unavailable_shards_exception", "primary shard is not active")],
            "full": [(403, "cluster_block_exception", "index read-only / allow delete")],
            "bad": [(400, "document_parsing_exception", "failed to parse field [x]")],
        }
        batch = make_batch("one", "busy", "bad", "two", "down", "full", time_us=START)
        with pytest.raises(Partial) as failed:
            await to.send(batch)
        assert server.lines == ["one", "two"]
        assert failed.value.retry == (1, 4, 5)
        assert failed.value.rejected == (
            (2, "answered 400: document_parsing_exception: failed to parse field [x]"),
        )
        assert failed.value.reason == (
            "answered 429: es_rejected_execution_exception: queue is full"
        )
        await to.send(batch)
        assert server.lines == ["one", "two", "busy", "bad", "down", "full"]


async def test_requests_that_are_too_large_are_halved_until_they_fit() -> None:
    """413: every line arrives once, in order, and the next batch begins with the smaller size."""
    texts = [f"{number:03d} {'x' * 1_000}" for number in range(40)]
    async with connected(ElasticsearchServer(max_request=10_000), ELASTICSEARCH) as (server, to):
        await to.send(make_batch(*texts))
        assert server.lines == texts
        assert len(server.documents) == 40
        server.requests.clear()
        await to.send(make_batch(*texts, device="dev_b"))
        assert all(len(request.body) <= 10_000 for request in server.requests)
    assert server.lines == texts * 2


async def test_a_single_line_that_is_too_large_is_refused() -> None:
    """And its neighbours arrive."""
    texts = ["before", "x" * 20_000, "after"]
    async with connected(ElasticsearchServer(max_request=10_000), ELASTICSEARCH) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*texts))
    assert [index for index, _ in failed.value.rejected] == [1]
    assert "answered 413" in failed.value.rejected[0][1]
    assert server.lines == ["before", "after"]


async def test_requests_keep_to_the_limits() -> None:
    """5,000 lines and 8 MB a request."""
    many = [str(number) for number in range(5_001)]
    large = [f"{number}{'x' * 900_000}" for number in range(10)]
    async with connected(ElasticsearchServer(gzip=False), ELASTICSEARCH) as (server, to):
        await to.send(make_batch(*many))
        assert len(server.requests) == 2
        await to.send(make_batch(*large, device="dev_b"))
        assert [len(request.body) <= 8 * MB for request in server.requests[2:]] == [True] * 2
        assert "content-encoding" not in server.requests[0].headers
    assert server.lines == many + large


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>welcome</html>"),
        web.json_response({"errors": False, "items": []}),
        web.json_response({"errors": True, "items": [{"index": {"status": 201}}]}),
    ],
    ids=["no JSON", "too few items", "another action"],
)
async def test_a_success_that_cannot_be_read_is_none(answer: web.Response) -> None:
    """The lines come again: their ids make that harmless."""
    async with connected(ElasticsearchServer(), ELASTICSEARCH) as (server, to):
        server.answers = [answer]
        with pytest.raises(Retry, match="something else than a bulk answer"):
            await to.send(make_batch("one"))
        await to.send(make_batch("one"))
        assert server.lines == ["one"]


async def test_a_busy_cluster_asks_for_another_try() -> None:
    """429 for the whole request."""
    async with connected(ElasticsearchServer(), ELASTICSEARCH) as (server, to):
        server.answers = [web.Response(status=429, headers={"Retry-After": "4"})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 4


async def test_a_wrong_key_is_final() -> None:
    """401, without the key."""
    async with connected(ElasticsearchServer(api_key="wr0ng"), ELASTICSEARCH) as (server, to):
        with pytest.raises(Rejected, match="answered 401: security_exception") as failed:
            await to.send(make_batch("one"))
    assert "wr0ng" not in repr(failed.value)
    assert server.lines == []


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"api_key": "k"}, "ApiKey k"),
        ({"token": "t"}, "Bearer t"),
        ({"username": "u", "password": "p:w"}, "Basic dTpwOnc="),
        ({}, None),
    ],
)
def test_there_are_three_ways_to_authenticate(keys: dict[str, str], header: str | None) -> None:
    """And none at all, for a cluster of one's own."""
    config = structs.decode(ELASTICSEARCH.config, {"url": "https://es.example"} | keys)
    assert config.authorization().get("Authorization") == header


@pytest.mark.parametrize(
    "change",
    [
        {"index": "Upper"}, {"index": "-a"}, {"index": "a b"}, {"index": "a/_doc"}, {"index": ".."},
        {"index": "a,b"}, {"index": "a-%S"}, {"index": ""}, {"index": "a\n"}, {"index": "a*"},
        {"username": "u"}, {"password": "p"}, {"username": "a:b", "password": "p"},
        {"api_key": "k", "token": "t"}, {"api_key": "a\r\nb"}, {"pipeline": "a&b"},
    ],
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(Invalid):
        structs.decode(ELASTICSEARCH.config, {"url": "https://es.example"} | change)
