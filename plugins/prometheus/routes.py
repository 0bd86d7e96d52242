"""The page that a Prometheus scrapes: the latest metrics of a project's devices."""

import time
from typing import Any

from hub import LATEST_METRICS, Call, LatestMetrics, NoQuery, NotFound, Reply, Route
from plugins.prometheus.exposition import OPEN_METRICS, TEXT, Page
from plugins.prometheus.peers import GET_PROJECT, GetProject


async def scrape_metrics(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/metrics/prometheus`."""
    project = call.path["project"]
    await call.bus.request(GET_PROJECT, GetProject(call.caller.account, project))
    page = Page(project, now=time.time_ns() // 1000)
    async for latest in call.bus.stream(LATEST_METRICS, LatestMetrics(project)):
        page.add(latest)
    return Reply(text=page.text(call.media))


def routes() -> list[Route[Any, Any]]:
    """Give the route."""
    return [
        Route(
            method="GET", path="/api/v1/projects/{project}/metrics/prometheus", tag="metrics",
            summary="Scrape a project's metrics", handler=scrape_metrics, permission="metrics:read",
            texts=(TEXT, OPEN_METRICS), errors=(NotFound,),
            description="What each device said last, with labels `project`, `device` and `host`; "
            "what is older than five minutes is left out. Prometheus' text format, or OpenMetrics "
            "where `Accept` asks for it.",
        )
    ]  # fmt: skip
