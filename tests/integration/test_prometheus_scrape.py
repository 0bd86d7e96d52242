"""The page that a Prometheus scrapes: its formats, who may read it, and what is too old for it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from hub import LATEST_METRICS, LatestMetrics, LatestSamples, NotFound
from hub.contracts import Endpoint, StreamEndpoint
from hub.memory_bus import MemoryBus
from hub.permissions import VIEWERS, Permission
from plugins.prometheus import isaax_routes
from plugins.prometheus.exposition import OPEN_METRICS, STALE, TEXT, Page
from plugins.prometheus.peers import GET_PROJECT, GetProject, Project
from tests.fixtures.gateway import OnBus, RunSite, Site
from tests.fixtures.victoria import Victoria

NOW = time.time_ns() // 1_000_000 * 1000
PATH = "/api/v1/projects/prj_a/metrics/prometheus"
ODD = 'a "b" \\ c\nd ü'
# What Prometheus 3 sends, as far as it concerns us.
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def latest(**change: Any) -> LatestSamples:
    """Give the last samples of one device."""
    samples = LatestSamples(
        device="dev_a",
        host="pump-1",
        type="cpu",
        names=["cpu_seconds_total", "load_ratio"],
        values=[12.5, 1e16],
        times=[NOW - 1000, NOW],
        labels=[{"cpu": "0", "device": "sda"}, {"odd": ODD}],
        counters=[True, False],
    )
    return replace_struct(samples, **change)


def replace_struct(samples: LatestSamples, **change: Any) -> LatestSamples:
    """Give the same with other fields."""
    fields = {name: getattr(samples, name) for name in samples.__struct_fields__}
    return LatestSamples(**fields | change)


def page(*items: LatestSamples, now: int = NOW) -> Page:
    """Make a page of these."""
    made = Page("prj_a", now=now)
    for item in items:
        made.add(item)
    return made


PLACE = {"project": "prj_a", "device": "dev_a", "host": "pump-1"}


def test_the_text_format_is_read_back_exactly() -> None:
    """By Prometheus' own Python client."""
    families = {family.name: family for family in plain(page(latest()).text(TEXT))}
    counter, gauge = families["cpu_seconds"], families["load_ratio"]
    assert (counter.type, gauge.type) == ("counter", "gauge")
    (sample,) = counter.samples
    assert sample.name == "cpu_seconds_total"
    assert sample.labels == PLACE | {"cpu": "0", "exported_device": "sda"}
    assert sample.value == 12.5
    (sample,) = gauge.samples
    assert sample.labels == PLACE | {"odd": ODD}
    assert sample.value == 1e16
    assert sample.timestamp == NOW // 1000 / 1000


def test_openmetrics_is_read_back_exactly() -> None:
    """By a parser that is strict."""
    text = page(latest(), latest(device="dev_b", host="b")).text(OPEN_METRICS)
    families = {family.name: family for family in open_metrics(text)}
    assert families["cpu_seconds"].type == "counter"
    assert [sample.labels["device"] for sample in families["cpu_seconds"].samples] == [
        "dev_a", "dev_b",
    ]  # fmt: skip
    assert families["load_ratio"].type == "gauge"
    assert families["load_ratio"].samples[0].labels["odd"] == ODD


def test_a_counter_by_another_name_is_unknown_to_openmetrics() -> None:
    """It demands `_total`; the sample keeps the name that it has."""
    odd = latest(names=["reads", "load_ratio"])
    (reads, _) = sorted(open_metrics(page(odd).text(OPEN_METRICS)), key=lambda one: one.name)[::-1]
    assert (reads.name, reads.type) == ("reads", "unknown")


def test_what_is_older_than_five_minutes_is_left_out() -> None:
    """To the microsecond; a family without a sample is not there at all."""
    assert STALE == 300_000_000
    old = latest(times=[NOW - STALE - 1, NOW - STALE])
    text = page(old).text(TEXT)
    assert "cpu_seconds_total" not in text
    assert "load_ratio{" in text
    assert page().text(TEXT) == ""
    assert page().text(OPEN_METRICS) == "# EOF\n"


def test_a_series_that_is_there_twice_is_shown_once() -> None:
    """The newest of it."""
    newer, older = latest(values=[2.0, 2.0]), latest(times=[NOW - 9000] * 2)
    for items in ((newer, older), (older, newer)):
        families = list(plain(page(*items).text(TEXT)))
        assert [len(family.samples) for family in families] == [1, 1]
        assert families[1].samples[0].value == 2.0


async def test_victoriametrics_takes_the_page(victoria: Victoria) -> None:
    """As its own scraper would."""
    async with ClientSession() as http:
        data = page(latest(host="scraped")).text(TEXT)
        answer = await http.post(f"{victoria.url}/api/v1/import/prometheus", data=data.encode())
        assert answer.status == 204
    (series,) = await victoria.export(__name__="load_ratio", host="scraped")
    assert series["metric"]["odd"] == ODD
    assert series["values"] == [1e16]
    assert series["timestamps"] == [NOW // 1000]


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────


READ = Permission("metrics:read", "Read metrics.", VIEWERS)
"""As the service `messages` declares it."""


@asynccontextmanager
async def scraped(run_site: RunSite) -> AsyncIterator[Site]:
    """Run a gateway with the page, beside services that know one project of `acc_two`."""

    async def get_project(request: GetProject) -> Project:
        if (request.account, request.project) != ("acc_two", "prj_a"):
            raise NotFound("no such project")
        return Project(request.project)

    async def stream(request: LatestMetrics) -> AsyncIterator[LatestSamples]:
        assert request.project == "prj_a"
        moment = time.time_ns() // 1000
        yield latest(times=[moment, moment])
        yield latest(device="dev_b", times=[moment, moment])

    bus = MemoryBus()
    endpoints = [Endpoint(GET_PROJECT, get_project), StreamEndpoint(LATEST_METRICS, stream)]
    async with (
        bus.serve("fakes", "1.0.0", endpoints),
        run_site(scraped=OnBus(isaax_routes(), bus, READ)) as site,
    ):
        yield site


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", TEXT), ("*/*", TEXT), ("text/plain", TEXT), (PROMETHEUS_ACCEPT, OPEN_METRICS),
        ("application/openmetrics-text", OPEN_METRICS),
    ],
)  # fmt: skip
async def test_accept_chooses_the_format(run_site: RunSite, accept: str, media: str) -> None:
    """Text format 0.0.4 unless OpenMetrics is asked for."""
    headers = {"Authorization": "Bearer stranger"} | ({"Accept": accept} if accept else {})
    async with (
        scraped(run_site) as site,
        site.http.get(f"{site.url}{PATH}", headers=headers) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == media
        assert answer.headers["Vary"] == "Accept"
    families = list((open_metrics if media == OPEN_METRICS else plain)(text))
    assert len(families) == 2
    assert {sample.labels["device"] for sample in families[0].samples} == {"dev_a", "dev_b"}


@pytest.mark.parametrize(
    ("token", "path", "accept", "status"),
    [
        ("stranger", PATH, "application/json", 406),
        ("stranger", PATH.replace("prj_a", "prj_b"), "*/*", 404),
        ("reader", PATH, "*/*", 403),  # it may read notes alone
        ("nobody", PATH, "*/*", 401),
    ],
)
async def test_only_who_may_sees_only_their_own(
    run_site: RunSite, token: str, path: str, accept: str, status: int
) -> None:
    """A problem document says why not."""
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    async with (
        scraped(run_site) as site,
        site.http.get(f"{site.url}{path}", headers=headers) as answer,
    ):
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_page_is_in_the_reference(run_site: RunSite) -> None:
    """With both of its media types."""
    async with scraped(run_site) as site, site.http.get(f"{site.url}/openapi.json") as answer:
        document = await answer.json()
    operation = document["paths"]["/api/v1/projects/{project}/metrics/prometheus"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {
        "text/plain", "application/openmetrics-text",
    }  # fmt: skip
    assert "406" in operation["responses"]
