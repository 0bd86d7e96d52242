"""Remote-write: what is sent, what arrives in VictoriaMetrics, and what each answer means."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import MetricBatch
from hub.destinations import MetricDestination
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Rejected, Retry
from hub.testing import make_metric_chunk
from plugins.prometheus import isaax_destinations
from plugins.prometheus.config import PrometheusConfig
from plugins.prometheus.destination import series_of
from plugins.prometheus.labels import labels_of
from tests.fixtures.http_receivers import TOKEN, running
from tests.fixtures.telemetry_receivers import RemoteWriteServer
from tests.fixtures.victoria import Victoria

(PROMETHEUS,) = isaax_destinations()
START = 1_795_446_245_123_456


@asynccontextmanager
async def writing(config: dict[str, Any]) -> AsyncIterator[MetricDestination]:
    """Build a destination of metrics."""
    async with tools_for("int_x", private_hosts=True) as tools:
        assert PROMETHEUS.metrics is not None
        yield PROMETHEUS.metrics(structs.decode(PrometheusConfig, config), tools)


@asynccontextmanager
async def connected(
    **config: Any,
) -> AsyncIterator[tuple[RemoteWriteServer, MetricDestination]]:
    """Give a strict server and a destination that writes to it."""
    async with running(RemoteWriteServer(**config)) as server, writing(server.config) as to:
        yield server, to


def metrics(*values: float, **more: Any) -> MetricBatch:
    """Give a batch of samples."""
    return MetricBatch("m", (make_metric_chunk(values, **{"time_us": START} | more),))


def test_it_takes_metrics_alone() -> None:
    """Remote-write has no lines."""
    assert PROMETHEUS.build is None


async def test_series_and_samples_are_sorted_as_the_specification_wants() -> None:
    """Whatever the order in which they came; the server refuses everything else."""
    chunks = [
        make_metric_chunk(
            [float(at)], names=f"m{at % 3}", labels={"z": "1", "a": "2"}, time_us=START + at * 1000
        )
        for at in range(30)
    ]
    random.Random(1).shuffle(chunks)
    async with connected() as (server, to):
        await to.send(MetricBatch("m", tuple(chunks)))
        assert len(server.requests) == 1
        assert len(server.series) == 3
    labels, samples = next(iter(sorted(server.series.items())))
    assert dict(labels) == {
        "__name__": "m0", "a": "2", "z": "1", "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "host": "pump-1", "project": "prj_aaaaaaaaaaaaaaaaaaaa",
    }  # fmt: skip
    assert [value for _, value in samples] == [float(at) for at in range(0, 30, 3)]
    assert samples[0][0] == START // 1000


def test_of_two_samples_in_one_millisecond_the_last_stays() -> None:
    """A receiver refuses a request with both."""
    first = make_metric_chunk([1.0], time_us=START)
    second = make_metric_chunk([2.0], time_us=START + 1)
    (samples,) = series_of(MetricBatch("m", (first, second))).values()
    assert samples == {START // 1000: 2.0}


def test_a_label_of_ones_own_is_not_lost_to_ours() -> None:
    """As when Prometheus scrapes: `exported_device`."""
    labels = labels_of(
        {"device": "sda", "a-b": "1", "0": "2", "__x": "3", "none": "", "": "4"},
        project="p", device="d", host="",
    )  # fmt: skip
    assert labels == {
        "exported_device": "sda", "a_b": "1", "_0": "2", "label__x": "3", "label": "4",
        "project": "p", "device": "d",
    }  # fmt: skip


async def test_values_arrive_exactly(victoria: Victoria) -> None:
    """VictoriaMetrics gives back what was written, and the same again does no harm."""
    now = time.time_ns() // 1_000_000 * 1000
    values = [0.1, -1.5, 123456789.25, 3.14159, 0.0]
    batch = metrics(*values, names="written_celsius", labels={"odd": 'a "b" \\ ü'}, time_us=now)
    async with writing({"url": f"{victoria.url}/api/v1/write"}) as to:
        await to.send(batch)
    (series,) = await victoria.export(__name__="written_celsius", odd='a "b" \\ ü')
    assert series["values"] == values
    assert series["timestamps"] == [now // 1000 + at for at in range(5)]
    assert series["metric"]["host"] == "pump-1"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_these_come_again(status: int) -> None:
    """5xx has to, 429 may; with the wait that is asked for."""
    async with connected() as (server, to):
        server.answers = [web.Response(status=status, headers={"Retry-After": "7"})]
        with pytest.raises(Retry) as failed:
            await to.send(metrics(1.0))
        assert failed.value.after == 7
        await to.send(metrics(1.0))
        assert len(server.series) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 422])
async def test_every_other_4xx_is_final(status: int) -> None:
    """ "MUST NOT retry", with the receiver's words as they are."""
    async with connected() as (server, to):
        server.answers = [web.Response(status=status, text="out of order sample")]
        with pytest.raises(Rejected, match=f"answered {status}: out of order sample"):
            await to.send(metrics(1.0))


async def test_samples_that_are_out_of_order_are_final() -> None:
    """Sent again they would be refused again."""
    async with connected() as (_, to):
        await to.send(metrics(1.0, time_us=START + 5000))
        with pytest.raises(Rejected, match="out of order"):
            await to.send(metrics(2.0))


async def test_a_token_is_an_alternative() -> None:
    """And so are headers of one's own."""
    url = "http://localhost:1"
    for config in ({"token": "t"}, {"headers": {"Authorization": "x", "X-Scope-OrgID": "y"}}):
        assert structs.decode(PrometheusConfig, {"url": url} | config).url == url


@pytest.mark.parametrize(
    "change",
    [
        {"password": ""}, {"token": "t"}, {"username": "a:b"}, {"url": "x"},
        {"headers": {"authorization": "x"}}, {"headers": {"Content-Encoding": "x"}}, {"ca": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """And the refusal holds no secret."""
    config = {"url": "http://localhost", "username": "u", "password": TOKEN} | change
    with pytest.raises(Invalid) as refused:
        structs.decode(PrometheusConfig, config)
    assert TOKEN not in str(refused.value) + repr(refused.value.errors)
