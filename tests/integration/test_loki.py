"""Loki: streams and metadata, limits, and which lines a refusal is about."""

import json
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
from plugins.loki import isaax_destinations
from tests.fixtures.http_receivers import TOKEN, connected
from tests.fixtures.index_receivers import LokiServer

(LOKI,) = isaax_destinations()
START = 1_795_446_245_123_456
LIMIT = START * 1_000
DAY = 86_400 * 1_000_000


def stream(**labels: str) -> str:
    """Give a stream's name in the server."""
    base = {"project": "prj_aaaaaaaaaaaaaaaaaaaa", "device": "dev_aaaaaaaaaaaaaaaaaaaa"}
    return json.dumps(base | {"host": "pump-1", "stream": "app"} | labels, sort_keys=True)


async def test_a_stream_has_few_labels_and_the_rest_is_metadata() -> None:
    """Id, program and severity are of the line; labels of the shape are of the stream."""
    chunk = make_chunk(["one"], time_us=START, first=41, priorities=11)
    batch = Batch("batch-1", (replace(chunk, labels={"site": "north"}),))
    async with connected(LokiServer(), LOKI) as (server, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert server.entries == {stream(site="north"): [(START * 1_000, "one")]}
    assert server.metadata == [
        {"id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41", "program": "demo", "severity": "err"}
    ]


async def test_labels_can_be_chosen() -> None:
    """What is a label is not repeated in the metadata; a stream's entries stand together."""
    batch = make_batch("a", "b", "c", programs=["x", "y", "x"], priorities=[14, 14, 14])
    labels = ["host", "program", "severity"]
    server = LokiServer(labels=labels, static_labels={"env": "production"})
    async with connected(server, LOKI) as (_, to):
        await to.send(batch)
    names = {
        tuple(json.loads(name).items()): [line for _, line in entries]
        for name, entries in server.entries.items()
    }
    base = {"env": "production", "host": "pump-1"}
    assert names == {
        tuple((base | {"program": "x", "severity": "info"}).items()): ["a", "c"],
        tuple((base | {"program": "y", "severity": "info"}).items()): ["b"],
    }
    assert [set(metadata) for metadata in server.metadata] == [{"id"}] * 3


async def test_without_metadata_nothing_needs_loki_3() -> None:
    """Entries have two parts."""
    async with connected(LokiServer(metadata=False, gzip=False), LOKI) as (server, to):
        server.metadata_allowed = False
        await to.send(make_batch("one", "two"))
        assert "content-encoding" not in server.requests[0].headers
    assert server.lines == ["one", "two"]
    assert server.metadata == [{}, {}]


async def test_entries_of_a_stream_are_in_order_of_time() -> None:
    """A device's clock may have been set back; the server here fails on another order."""
    chunk = make_chunk(["a", "b", "c"], time_us=START)
    lines = Lines([START + 5, START, START + 5], 14, "demo", ["a", "b", "c"])
    async with connected(LokiServer(), LOKI) as (server, to):
        await to.send(Batch("batch-1", (replace(chunk, lines=lines),)))
    assert server.lines == ["b", "a", "c"]


async def test_a_line_that_comes_again_is_there_once() -> None:
    """Time, labels and text are the same at every attempt."""
    async with connected(LokiServer(), LOKI) as (server, to):
        await to.send(make_batch("one", "two", time_us=START))
        await to.send(make_batch("one", "two", time_us=START))
        assert len(server.requests) == 2
    assert server.lines == ["one", "two"]


async def test_requests_keep_to_the_limits() -> None:
    """1 MB and 10,000 lines a request; a line over 256 KB becomes a dead letter, alone."""
    large = [f"{number}{'x' * 200_000}" for number in range(12)]
    many = [str(number) for number in range(10_001)]
    async with connected(LokiServer(), LOKI) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*large, "x" * 262_145))
        assert [index for index, _ in failed.value.rejected] == [12]
        assert [len(request.body) <= 1_000_000 for request in server.requests] == [True] * 3
        server.requests.clear()
        await to.send(make_batch(*many))
        assert len(server.requests) == 2
    assert server.lines == large + many


async def test_lines_that_are_too_old_are_refused_and_no_others() -> None:
    """Loki took the rest of the request, and its answer tells of one stream alone."""
    old = make_chunk(["old 1", "old 2", "new 1"], device="dev_a", host="a")
    times = [START - DAY, START - 2 * DAY, START + 2_000_000]
    mixed = replace(old, lines=replace_times(old.lines, times))
    other = make_chunk(["old 3", "old 4"], device="dev_b", host="b", time_us=START - DAY)
    fresh = make_chunk(["new 2"], device="dev_c", host="c", time_us=START + 2_000_000)
    async with connected(LokiServer(oldest=LIMIT), LOKI) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(Batch("batch-1", (mixed, other, fresh)))
    assert server.lines == ["new 1", "new 2"]
    assert [index for index, _ in failed.value.rejected] == [0, 1, 3, 4]
    assert failed.value.retry == ()
    assert all("timestamp too old" in reason for _, reason in failed.value.rejected)


async def test_lines_from_the_future_are_refused_and_no_others() -> None:
    """Both limits may be passed in one stream."""
    chunk = make_chunk(["old", "now", "later"])
    times = [START - DAY, START + 2_000_000, START + 2 * DAY]
    batch = Batch("batch-1", (replace(chunk, lines=replace_times(chunk.lines, times)),))
    server = LokiServer(oldest=LIMIT, newest=LIMIT + DAY * 1_000)
    async with connected(server, LOKI) as (_, to):
        with pytest.raises(Partial) as failed:
            await to.send(batch)
    assert server.lines == ["now"]
    assert [index for index, _ in failed.value.rejected] == [0, 2]


async def test_a_clock_far_off_does_not_break_the_request() -> None:
    """Nanoseconds beyond 64 bits could not even be read."""
    async with connected(LokiServer(oldest=1, newest=2**62), LOKI) as (server, to):
        with pytest.raises(Partial) as failed:
            await to.send(make_batch("far", time_us=2**62))
        assert [index for index, _ in failed.value.rejected] == [0]
        with pytest.raises(Partial):
            await to.send(make_batch("before", time_us=-5))
    assert server.lines == []


async def test_a_refusal_that_names_no_limit_is_about_its_stream() -> None:
    """The other streams are taken; what Loki took of this one is refused with the rest."""
    good = make_chunk(["fine"], device="dev_a", host="a")
    bad = make_chunk(["odd", "even"], device="dev_b", host="b")
    async with connected(LokiServer(), LOKI) as (server, to):
        server.silent["odd"] = "entry out of order"
        with pytest.raises(Partial) as failed:
            await to.send(Batch("batch-1", (good, bad)))
    assert failed.value.rejected == (
        (1, "answered 400: entry out of order"),
        (2, "answered 400: entry out of order"),
    )
    assert "fine" in server.lines


async def test_being_busy_amid_a_refusal_sends_the_rest_again() -> None:
    """What is known to be refused is not tried again; the other streams are."""
    old = make_chunk(["old"], device="dev_a", host="a", time_us=START - DAY)
    new = make_chunk(["new"], device="dev_b", host="b", time_us=START + 2_000_000)
    async with connected(LokiServer(oldest=LIMIT), LOKI) as (server, to):
        too_old = (
            "entry has timestamp too old, oldest acceptable timestamp is: 2026-11-23T15:04:05Z"
        )
        server.answers = [
            web.Response(status=400, text=too_old),
            web.Response(status=400, text=too_old),
            web.Response(status=429, text="Ingestion rate limit exceeded"),
        ]
        with pytest.raises(Partial) as failed:
            await to.send(Batch("batch-1", (old, new)))
    assert [index for index, _ in failed.value.rejected] == [0]
    assert failed.value.retry == (1,)
    assert "rate limit" in failed.value.reason


async def test_metadata_that_is_not_allowed_is_said_in_lokis_words() -> None:
    """The user then knows what to set."""
    async with connected(LokiServer(), LOKI) as (server, to):
        server.metadata_allowed = False
        with pytest.raises(Partial) as failed:
            await to.send(make_batch("one"))
    assert "this feature is disallowed" in failed.value.rejected[0][1]


async def test_a_limit_of_the_tenant_comes_again() -> None:
    """429 has no Retry-After: the hub's own waits apply."""
    async with connected(LokiServer(), LOKI) as (server, to):
        server.answers = [web.Response(status=429, text="Ingestion rate limit exceeded")]
        with pytest.raises(Retry, match="rate limit exceeded") as failed:
            await to.send(make_batch("one"))
        assert failed.value.after is None


@pytest.mark.parametrize("wrong", [{"tenant": "others"}, {"password": "wrong"}])
async def test_wrong_credentials_are_final(wrong: dict[str, Any]) -> None:
    """401, without the password."""
    async with connected(LokiServer(**wrong), LOKI) as (server, to):
        with pytest.raises(Rejected, match="answered 401") as failed:
            await to.send(make_batch("one"))
        assert server.lines == []
    assert "wrong" not in failed.value.reason


def test_a_token_is_sent_as_bearer() -> None:
    """Instead of user and password."""
    config = structs.decode(LOKI.config, {"url": "https://loki.example", "token": TOKEN})
    assert config.headers()["Authorization"] == f"Bearer {TOKEN}"
    assert "X-Scope-OrgID" not in config.headers()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []}, {"labels": ["id"]}, {"static_labels": {"a-b": "c"}}, {"username": "a"},
        {"static_labels": {"a": ""}}, {"tenant": "a|b"}, {"tenant": "a\n"}, {"username": "a:b"},
        {"password": "p"}, {"token": "a b"}, {"token": "t", "username": "u", "password": "p"},
        {"max_line": 1},
    ],
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(Invalid):
        structs.decode(LOKI.config, {"url": "https://loki.example"} | change)


def replace_times(lines: Lines, times: list[int]) -> Lines:
    """Give lines other times."""
    return Lines(times, lines.priorities, lines.programs, lines.messages)
