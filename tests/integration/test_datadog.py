"""Datadog: what is sent, within which limits, and what becomes of old lines."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.datadog import isaax_destinations
from tests.fixtures.http_receivers import MB, TOKEN, DatadogServer, connected

(DATADOG,) = isaax_destinations()
START = 1_795_446_245_123_456
NOW = START / 1_000_000
HOUR = 3_600 * 1_000_000


async def test_a_log_holds_everything() -> None:
    """The reserved attributes, tags of config and shape, and the id that a line keeps."""
    chunk = make_chunk(["one", "two"], time_us=START, first=41, priorities=[11, 14])
    batch = Batch("batch-1", (replace(chunk, labels={"site": "north, far"}),))
    server = DatadogServer(now=NOW, tags={"env": "production"})
    async with connected(server, DATADOG, clock=lambda: NOW) as (_, to):
        await to.send(batch)
        (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert server.lines == ["one", "two"]
    assert server.logs[0] == {
        "ddsource": "isaax",
        "ddtags": "project:prj_aaaaaaaaaaaaaaaaaaaa,device:dev_aaaaaaaaaaaaaaaaaaaa,stream:app,"
        "env:production,site:north_ far",
        "hostname": "pump-1",
        "service": "demo",
        "status": "err",
        "message": "one",
        "facility": 1,
        "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "stream": "app",
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "timestamp": 1_795_446_245_123,
    }


@pytest.mark.parametrize(
    ("moment", "dated"),
    [
        (START - 17 * HOUR, True),
        (START - 18 * HOUR - 1, False),
        (START - 24 * 30 * HOUR, False),
        (START + HOUR, True),
        (START + 3 * HOUR, False),
        (0, False),
        (2**62, False),
    ],
)
async def test_a_line_that_datadog_would_drop_is_kept(moment: int, dated: bool) -> None:
    """It is filed at its arrival, with its own time beside it."""
    server = DatadogServer(now=NOW)
    async with connected(server, DATADOG, clock=lambda: NOW) as (_, to):
        await to.send(make_batch("one", time_us=moment))
    assert server.dropped == []
    assert server.lines == ["one"]
    assert ("timestamp" in server.logs[0]) == dated
    assert ("original_time" in server.logs[0]) != dated


async def test_requests_keep_to_the_limits() -> None:
    """1,000 logs and 5 MB a request; a log over 1 MB is refused rather than cut."""
    many = [str(number) for number in range(2_001)]
    large = [f"{number}{'x' * 900_000}" for number in range(7)]
    async with connected(DatadogServer(), DATADOG) as (server, to):
        await to.send(make_batch(*many))
        assert len(server.requests) == 3
        with pytest.raises(Partial) as failed:
            await to.send(make_batch(*large, "x" * MB))
        assert [index for index, _ in failed.value.rejected] == [7]
        assert server.lines == many + large


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_some_answers_ask_for_another_try(status: int) -> None:
    """Those that the documentation says to try again."""
    async with connected(DatadogServer(), DATADOG) as (server, to):
        server.answers = [web.Response(status=status, headers={"Retry-After": "5"})]
        with pytest.raises(Retry, match=f"answered {status}") as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 5


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_some_answers_are_final(status: int) -> None:
    """With Datadog's words and without the key."""
    async with connected(DatadogServer(), DATADOG) as (server, to):
        server.answers = [web.Response(status=status, text='{"errors":["no"]}')]
        with pytest.raises(Rejected, match=f"answered {status}") as failed:
            await to.send(make_batch("one"))
    assert TOKEN not in repr(failed.value)


async def test_a_wrong_key_is_final() -> None:
    """403."""
    async with connected(DatadogServer(api_key="wrong"), DATADOG) as (server, to):
        with pytest.raises(Rejected, match="answered 403: Forbidden"):
            await to.send(make_batch("one"))
        assert server.lines == []


def test_each_site_has_its_address() -> None:
    """And any other address can be given."""
    config = structs.decode(DATADOG.config, {"api_key": TOKEN, "site": "us3.datadoghq.com"})
    assert config.endpoint == "https://http-intake.logs.us3.datadoghq.com/api/v2/logs"
    other = structs.decode(DATADOG.config, {"api_key": TOKEN, "url": "https://proxy.example/x"})
    assert other.endpoint == "https://proxy.example/x"


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "a\r\nb"}, {"api_key": ""}, {"site": "evil.example"}, {"tags": {"a,b": "c"}},
        {"tags": {"a": "b,c"}}, {"tags": {"1": "b"}}, {"source": ""}, {"url": "ftp://x/"},
    ],
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(Invalid):
        structs.decode(DATADOG.config, {"api_key": TOKEN} | change)
