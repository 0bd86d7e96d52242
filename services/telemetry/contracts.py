"""What the service `telemetry` answers on the bus."""

from datetime import datetime

import msgspec

from hub import Contract, Page


class Span(msgspec.Struct, frozen=True):
    """Which points are wanted: from `start` to before `stop`, one each `step` seconds.

    Args:
        step: None for one that gives a few hundred points.
    """

    start: datetime
    stop: datetime
    step: int | None = None


class DeviceMetrics(msgspec.Struct, frozen=True):
    """A page of a device's series after `after`; with `span`, their points as well."""

    account: str
    project: str
    device: str
    limit: int
    after: int = 0
    name: str = ""
    type: str = ""
    span: Span | None = None


class MetricPoint(msgspec.Struct, frozen=True):
    """What the samples of one step come to.

    Args:
        at: where the step begins.
        value: the mean of the samples; of a counter, by how much it grew each second.
        min, max: of the samples; None of a counter.
        count: of samples.
    """

    at: datetime
    value: float
    min: float | None
    max: float | None
    count: int


class Series(msgspec.Struct, frozen=True):
    """One series of a device.

    Args:
        last, last_at: its newest sample, if there is one of the last day.
        step: seconds between the points.
    """

    number: int
    type: str
    name: str
    labels: dict[str, str]
    counter: bool
    last: float | None
    last_at: datetime | None
    step: int
    points: list[MetricPoint]


class SeriesPage(Page[Series], frozen=True):
    """One page of them."""


class ProjectMetrics(msgspec.Struct, frozen=True):
    """A page of the metrics of a project after the first `after`; with `span`, points of each."""

    account: str
    project: str
    limit: int
    after: int = 0
    name: str = ""
    type: str = ""
    span: Span | None = None


class Metric(msgspec.Struct, frozen=True):
    """One metric of a project, over all of its devices.

    Args:
        devices, series: how many have it.
        step: seconds between the points.
        points: of all series together: of a counter, by how much all grew each second.
    """

    type: str
    name: str
    counter: bool
    devices: int
    series: int
    step: int
    points: list[MetricPoint]


class MetricsPage(Page[Metric], frozen=True):
    """One page of them."""


class RecentOf(msgspec.Struct, frozen=True):
    """A page of what the series of a metric were from `since` to `until`, after `after`."""

    account: str
    project: str
    name: str
    since: datetime
    until: datetime
    limit: int
    after: int = 0


class RecentSeries(msgspec.Struct, frozen=True):
    """The samples of one series in that time: the least, the greatest and the newest of them."""

    number: int
    device: str
    labels: dict[str, str]
    least: float
    most: float
    newest: float
    newest_at: datetime


class Recent(Page[RecentSeries], frozen=True):
    """One page of those that have samples in that time."""


DEVICE_METRICS = Contract("telemetry.device", DeviceMetrics, SeriesPage, timeout=20.0)
PROJECT_METRICS = Contract("telemetry.project", ProjectMetrics, MetricsPage, timeout=20.0)
RECENT = Contract("telemetry.recent", RecentOf, Recent)
