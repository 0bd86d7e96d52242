"""InfluxDB: what is written, what arrives in VictoriaMetrics, and what each answer means."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch, MetricBatch
from hub.destinations import MetricDestination
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import make_batch, make_chunk, make_metric_chunk
from plugins.influx import isaax_destinations
from plugins.influx.config import InfluxConfig
from plugins.influx.points import line_points, sample_points
from tests.fixtures.http_receivers import TOKEN, connected, running
from tests.fixtures.telemetry_receivers import InfluxServer
from tests.fixtures.victoria import Victoria

(INFLUX,) = isaax_destinations()
START = 1_795_446_245_123_456


@asynccontextmanager
async def writing(config: dict[str, Any]) -> AsyncIterator[MetricDestination]:
    """Build a destination of metrics."""
    async with tools_for("int_x", private_hosts=True) as tools:
        assert INFLUX.metrics is not None
        yield INFLUX.metrics(structs.decode(InfluxConfig, config), tools)


def metrics(*values: float, **more: Any) -> MetricBatch:
    """Give a batch of samples."""
    return MetricBatch("m", (make_metric_chunk(values, **{"time_us": START} | more),))


# ── what is written ───────────────────────────────────────────────────────────────────────────


def test_a_sample_is_a_point() -> None:
    """Its name is the measurement; what has no value is no tag; tags are sorted."""
    (point,) = sample_points(
        metrics(0.25, names="load_ratio", labels={"cpu": "0", "empty": "", "device": "sda"})
    )
    assert point == (
        b"load_ratio,cpu=0,device=dev_aaaaaaaaaaaaaaaaaaaa,host=pump-1,own_device=sda,"
        b"project=prj_aaaaaaaaaaaaaaaaaaaa value=0.25 1795446245123456"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", rb"a\ b"), ("a,b", rb"a\,b"), ("a=b", rb"a\=b"), ('a"b', b'a"b'),
        ("a\r\nb", rb"a\ b"), ("c:\\x", rb"c:\x"), ("ends\\\\", b"ends//"),
        ("a\\ b\\,", rb"a/\ b/\,"), ("ü", "ü".encode()),
    ],
)  # fmt: skip
def test_tags_are_escaped_as_documented(text: str, written: bytes) -> None:
    """Comma, equals sign and space; no line end, and no backslash that might escape them."""
    (point,) = sample_points(metrics(1.0, labels={"mark": text}))
    assert b",mark=" + written + b"," in point
    (named,) = sample_points(metrics(1.0, labels={text: "x"}))
    assert b"," + written + b"=x" in named


def test_a_line_is_a_point_of_its_own() -> None:
    """With its id; two lines of one moment do not replace each other."""
    lines = make_chunk(['say "hi" \\ a\nb', "two"], first=41, priorities=11)
    lines = replace(lines, lines=msgspec.structs.replace(lines.lines, times=[START, START]))
    first, second = line_points(Batch("b", (lines,)), "logs")
    assert first == (
        b"logs,device=dev_aaaaaaaaaaaaaaaaaaaa,host=pump-1,program=demo,"
        b"project=prj_aaaaaaaaaaaaaaaaaaaa,severity=err,stream=app "
        rb'message="say \"hi\" \\ a\nb",id="dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",facility=1i '
        b"1795446245123456041"
    )
    assert second.endswith(b" 1795446245123456042")


@pytest.mark.parametrize("moment", [-(2**62), 2**62])
def test_a_wild_clock_stays_within_what_a_server_reads(moment: int) -> None:
    """64 bits of nanoseconds, but for its ends."""
    (line,) = line_points(make_batch("x", time_us=moment), "logs")
    assert abs(int(line.split()[-1])) <= 2**63 - 2
    (sample,) = sample_points(metrics(1.0, time_us=moment))
    assert abs(int(sample.split()[-1]) * 1000) <= 2**63 - 2


# ── a real receiver ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("api", ["v2", "v1"])
async def test_values_arrive_exactly(victoria: Victoria, api: str) -> None:
    """VictoriaMetrics takes both versions of the API; it keeps milliseconds."""
    odd = f"{api} a,b=ü c:\\x"
    place = {"bucket": "b", "org": "o"} if api == "v2" else {"database": "d"}
    values = [0.1, -1.5, 123456789.25, 3.14159, 0.0]
    now = time.time_ns() // 1_000_000 * 1000
    async with writing({"url": victoria.url, "api": api, **place}) as to:
        await to.send(metrics(*values, names="demo_celsius", labels={"odd": odd}, time_us=now))
    (series,) = await victoria.export(__name__="demo_celsius_value", odd=odd)
    assert series["values"] == values
    assert series["timestamps"] == [now // 1000 + at for at in range(5)]
    assert series["metric"]["device"] == "dev_aaaaaaaaaaaaaaaaaaaa"
    assert series["metric"]["host"] == "pump-1"


# ── answers ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("api", ["v2", "v1"])
async def test_each_version_has_its_address_and_credentials(api: str) -> None:
    """The server refuses everything else."""
    async with connected(InfluxServer(api=api), INFLUX) as (server, to):
        await to.send(make_batch("one", "two", time_us=START))
        assert server.taken() == ["one", "two"]
        assert server.points[0]["time"] == START * 1000 + 1
    async with running(InfluxServer(api=api)) as server, writing(server.config) as samples:
        await samples.send(metrics(1.5))
        assert server.points[0]["time"] == START * 1000
        assert server.points[0]["fields"] == {"value": 1.5}


async def test_a_body_that_is_too_large_is_halved() -> None:
    """Until it fits; a line that never does is final."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        server.largest = 3000
        texts = [f"{at} {'x' * 500}" for at in range(20)]
        texts[7] = "y" * 5000
        with pytest.raises(Partial) as partial:
            await to.send(make_batch(*texts))
        assert server.taken() == texts[:7] + texts[8:]
    ((index, reason),) = partial.value.rejected
    assert index == 7
    assert "413" in reason


@pytest.mark.parametrize("status", [429, 503, 500])
async def test_these_come_again(status: int) -> None:
    """With the wait that the server asks for."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        server.answers = [web.Response(status=status, headers={"Retry-After": "9"})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 9
        await to.send(make_batch("one"))
        assert server.taken() == ["one"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, '{"error":"partial write: points beyond retention policy dropped=1"}'),
        (400, '{"code":"invalid","message":"unable to parse"}'),
        (401, '{"code":"unauthorized"}'),
        (404, '{"code":"not found","message":"bucket \\"x\\" not found"}'),
        (422, '{"code":"unprocessable entity"}'),
    ],
)
async def test_these_are_final_in_the_servers_words(status: int, text: str) -> None:
    """A first version drops some points and does not say which: all become dead letters."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        server.answers = [web.Response(status=status, text=text)]
        with pytest.raises(Rejected) as refused:
            await to.send(make_batch("one", "two"))
    assert refused.value.reason == f"answered {status}: {text}"


def _named(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"line_number": number, "error_message": "bad type", "original_line": "…"}
        for number in numbers
    ]


async def test_points_that_are_named_are_the_only_final_ones() -> None:
    """A third version writes the others."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        body = {"error": "partial write of line protocol occurred", "data": _named(2)}
        server.answers = [web.json_response(body, status=400)]
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("one", "two", "three"))
    assert partial.value.rejected == ((1, "answered 400: bad type"),)
    assert partial.value.retry == ()


async def test_where_one_point_spoils_all_the_others_come_again() -> None:
    """Without it they are taken."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        body = {"error": "parsing failed for write_lp endpoint", "data": _named(2)[0]}
        server.answers = [web.json_response(body, status=400)]
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("one", "two", "three"))
    assert partial.value.rejected == ((1, "answered 400: bad type"),)
    assert partial.value.retry == (0, 2)
    assert partial.value.after == 0


@pytest.mark.parametrize("numbers", [range(1, 101), (0,), (4,)])
async def test_names_that_cannot_be_trusted_are_not(numbers: range | tuple[int, ...]) -> None:
    """No more than a hundred are named, so that others may be missing too."""
    async with connected(InfluxServer(), INFLUX) as (server, to):
        body = {"error": "partial write of line protocol occurred", "data": _named(*numbers)}
        server.answers = [web.json_response(body, status=400)]
        with pytest.raises(Rejected, match="partial write"):
            await to.send(make_batch(*(["x"] * (120 if len(numbers) > 1 else 3))))


async def test_what_is_off_is_left_out() -> None:
    """Lines are, unless the config says otherwise."""
    config = {"url": "http://localhost:1", "bucket": "b"}
    async with tools_for("int_x", private_hosts=True) as tools:
        assert INFLUX.build is not None
        to = INFLUX.build(structs.decode(InfluxConfig, config), tools)
        assert await to.send(make_batch("one")) is None
        await to.close()


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": ""}, {"database": "d"}, {"username": "u"}, {"url": "http://x/?db=1"},
        {"metrics": False}, {"token": "a\nb"}, {"measurement": "#x"}, {"api": "v3"},
        {"api": "v1"}, {"ca": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """And the refusal holds no secret."""
    config = {"url": "http://localhost", "bucket": "b", "token": TOKEN} | change
    with pytest.raises(Invalid) as refused:
        structs.decode(InfluxConfig, config)
    assert TOKEN not in str(refused.value) + repr(refused.value.errors)
