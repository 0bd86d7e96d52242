"""Metrics over HTTP: which there are, and their points for charts."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from hub import PASSING, Call, Invalid, NotFound, Reply, Route, cursor_of, position_of
from services.telemetry import contracts as c
from services.telemetry import peers

_DAY: Final = timedelta(days=1)
_FIRST: Final = datetime(1970, 1, 2, tzinfo=UTC)
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class MetricsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which metrics; with `name`, their points too.

    Args:
        name: of the metric, as `cpu_usage_ratio`.
        type: `device`, `cpu`, `memory`, `disk`, `network` or `ps`.
        since, until: from this time on, and before that one; by default the last day.
        step: seconds between points; the next that there is, and none that gives over 1,000
            points. By default one that gives a few hundred.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="Items of a page at most.")] = 50
    cursor: Annotated[str, msgspec.Meta(description="Where the page begins.")] = ""
    name: str = ""
    type: str = ""
    since: Moment | None = None
    until: Moment | None = None
    step: Annotated[int, msgspec.Meta(ge=1, le=31 * 86_400)] | None = None

    @property
    def span(self) -> c.Span | None:
        """Give the span of the points, when they are wanted."""
        if not self.name:
            return None
        until = max(self.until or datetime.now(UTC), _FIRST)
        if self.until is None and self.since is not None:
            until = max(until, self.since)
        return c.Span(self.since or until - _DAY, until, self.step)


class SeriesView(msgspec.Struct, frozen=True):
    """One series of a device; see `MetricsQuery` for its points.

    Args:
        last, last_at: its newest sample, if there is one of the last day.
        step: seconds between the points; 0 when no `name` was given, and so no points.
    """

    type: str
    name: str
    labels: dict[str, str]
    counter: bool
    last: Annotated[float | None, PASSING]
    last_at: Annotated[datetime | None, PASSING]
    step: int
    points: Annotated[list[c.MetricPoint], PASSING]


class MetricView(msgspec.Struct, frozen=True):
    """One metric of a project, over all of its devices; see `MetricsQuery` for its points.

    Args:
        devices, series: how many have it.
        step: seconds between the points; 0 when no `name` was given, and so no points.
        points: of all series together: of a counter, by how much all of them grew each second.
    """

    type: str
    name: str
    counter: bool
    devices: Annotated[int, PASSING]
    series: Annotated[int, PASSING]
    step: int
    points: Annotated[list[c.MetricPoint], PASSING]


async def read_device_metrics(call: Call[None, MetricsQuery]) -> Reply:
    """Answer `GET /devices/{device}/metrics`."""
    account, query = call.caller.account, call.query
    wanted = peers.OneDevice(account, call.path["device"])
    device = await call.bus.request(peers.GET_DEVICE, wanted)
    page = await call.bus.request(
        c.DEVICE_METRICS,
        c.DeviceMetrics(
            account, device.project, device.id, query.limit, position_of(query.cursor),
            query.name, query.type, query.span,
        ),
    )  # fmt: skip
    following = cursor_of(page.items[-1].number) if page.more else None
    items = [msgspec.convert(item, SeriesView, from_attributes=True) for item in page.items]
    return Reply(items, next=following)


async def read_project_metrics(call: Call[None, MetricsQuery]) -> Reply:
    """Answer `GET /projects/{project}/metrics`."""
    account, query = call.caller.account, call.query
    wanted = peers.GetProject(account, call.path["project"])
    project = await call.bus.request(peers.GET_PROJECT, wanted)
    after = position_of(query.cursor)
    page = await call.bus.request(
        c.PROJECT_METRICS,
        c.ProjectMetrics(
            account, project.id, query.limit, after, query.name, query.type, query.span
        ),
    )
    following = cursor_of(after + len(page.items)) if page.more else None
    items = [msgspec.convert(item, MetricView, from_attributes=True) for item in page.items]
    return Reply(items, next=following)


_POINTS: Final = (
    "With `name`, each has its points: the mean, minimum and maximum of each step; of a counter, "
    "by how much it grew each second. `step` says which of 10, 30 and 60 s, 5, 15 and 30 min, "
    "1, 3, 6 and 12 h, 1, 7 and 28 days it is; a step without samples has no point. "
    "Samples are kept for some days, what 5 minutes and an hour of them come to for longer: "
    "docs/metrics.md."
)


def routes() -> list[Route[Any, Any]]:
    """Give all routes of the service."""
    return [
        Route(
            method="GET", path="/api/v1/devices/{device}/metrics", tag="metrics",
            summary="List what a device measures, or read it", handler=read_device_metrics,
            permission="metrics:read", query=MetricsQuery, response=list[SeriesView],
            errors=(NotFound, Invalid),
            description=f"One item for each series: a name with its labels. {_POINTS}",
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/metrics", tag="metrics",
            summary="List what a project's devices measure, or read it all together",
            handler=read_project_metrics, permission="metrics:read", query=MetricsQuery,
            response=list[MetricView], errors=(NotFound, Invalid),
            description=f"One item for each metric, over all of its series. {_POINTS}",
        ),
    ]  # fmt: skip
