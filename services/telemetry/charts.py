"""Series and their points, for charts."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from hub import Connection, Database, FieldError, Invalid, Queries
from services.telemetry import contracts as c
from services.telemetry.settings import TelemetrySettings

STEPS: Final = (
    10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600,
    86_400, 7 * 86_400, 28 * 86_400,
)  # fmt: skip
"""Seconds between points; each goes into those above 60 without a rest."""
WANTED: Final = 300
"""Points of a series that a step gives about, unless one is asked for."""
MOST: Final = 1_000
"""Points of a series."""
MOST_SERIES: Final = 20_000
"""That are put together in the chart of a project."""
FINE: Final = 300
COARSE: Final = 3600
_MARGIN: Final = 3600.0  # seconds before the oldest samples are dropped in which they are not used


class Grid(msgspec.Struct, frozen=True):
    """The points of a chart: where they are, and what they are made from.

    Args:
        start, stop: on the grid.
        source: seconds of the rollup that they come from, or 0: the samples themselves.
    """

    start: datetime
    stop: datetime
    step: int
    source: int

    @classmethod
    def of(cls, span: c.Span, settings: TelemetrySettings, *, now: float) -> "Grid":
        """Choose the step, and where its points come from.

        Args:
            now: Unix seconds.

        Raises:
            Invalid: it ends before it begins.
        """
        begin, end = span.start.timestamp(), min(span.stop.timestamp(), now + 86_400)
        if end <= begin:
            wrong = FieldError("/since", "is before `until`")
            raise Invalid("a chart ends after it begins", errors=[wrong])
        begin = max(begin, now - settings.keep_rollup_days * 86_400)
        end = max(end, begin + 1)
        finest = max(
            (end - begin) / MOST,
            span.step if span.step is not None else max(60.0, (end - begin) / WANTED),
        )
        step = next((one for one in STEPS if one >= finest), STEPS[-1])
        source = 0 if step < FINE else FINE if step < COARSE else COARSE
        age = now - begin
        if source == 0 and age > settings.keep_days * 86_400 - _MARGIN:
            step, source = max(step, FINE), FINE
        if source == FINE and age > settings.keep_fine_days * 86_400 - _MARGIN:
            step, source = max(step, COARSE), COARSE
        return cls(
            datetime.fromtimestamp(begin - begin % step, UTC),
            datetime.fromtimestamp(end + -end % step, UTC),
            step,
            source,
        )


class _SeriesRow(msgspec.Struct, frozen=True):
    id: int
    type: str
    name: str
    labels: dict[str, str]
    counter: bool
    last: float | None
    last_at: datetime | None


class _MetricRow(msgspec.Struct, frozen=True):
    type: str
    name: str
    counter: bool
    devices: int
    series: int


class _PointRow(msgspec.Struct, frozen=True):
    series: int
    at: datetime
    count: int
    min: float
    max: float
    sum: float
    increase: float


class Charts:
    """Answers what there is, and what it was.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        database: Database,
        settings: TelemetrySettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._sql = Queries.load("services.telemetry")

    async def device(self, request: c.DeviceMetrics) -> c.SeriesPage:
        """Give a page of a device's series, with their points where a span is given."""
        grid = self._grid(request.span)
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["list_series"],
                _SeriesRow,
                account=request.account,
                project=request.project,
                device=request.device,
                name=request.name,
                type=request.type,
                after=request.after,
                limit=request.limit + 1,
            )
            shown = rows[: request.limit]
            counters = {row.id: row.counter for row in shown}
            points = await self._points(tx, request.account, counters, grid)
        items = [
            c.Series(
                row.id, row.type, row.name, row.labels, row.counter, row.last, row.last_at,
                grid.step if grid else 0, points[row.id],
            )
            for row in shown
        ]  # fmt: skip
        return c.SeriesPage(items, len(rows) > request.limit)

    async def project(self, request: c.ProjectMetrics) -> c.MetricsPage:
        """Give a page of a project's metrics, over all devices; with points where a span is given.

        Raises:
            Invalid: there are too many series for one chart.
        """
        grid = self._grid(request.span)
        scope = {"account": request.account, "project": request.project}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["list_metrics"],
                _MetricRow,
                name=request.name,
                type=request.type,
                after=request.after,
                limit=request.limit + 1,
                **scope,
            )
            items = [
                c.Metric(
                    row.type, row.name, row.counter, row.devices, row.series,
                    grid.step if grid else 0, await self._together(tx, scope, row, grid),
                )
                for row in rows[: request.limit]
            ]  # fmt: skip
        return c.MetricsPage(items, len(rows) > request.limit)

    async def recent(self, request: c.RecentOf) -> c.Recent:
        """Give a page of what the series of a metric were lately."""
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["recent"], c.RecentSeries, **parameters)
        return c.Recent.of(rows, request.limit)

    def _grid(self, span: c.Span | None) -> Grid | None:
        return None if span is None else Grid.of(span, self._settings, now=self._clock())

    async def _together(
        self, tx: Connection, scope: dict[str, str], row: _MetricRow, grid: Grid | None
    ) -> list[c.MetricPoint]:
        if grid is None:
            return []
        if row.series > MOST_SERIES:
            raise Invalid(f"{row.name} has {row.series} series: a chart has {MOST_SERIES} at most")
        series = await tx.all(
            self._sql["series_of_metric"],
            int,
            name=row.name,
            type=row.type,
            limit=MOST_SERIES,
            **scope,
        )
        found = await self._rows(tx, scope["account"], series, grid, together=True)
        return [_point(one, row.counter, grid.step) for one in found]

    async def _points(
        self, tx: Connection, account: str, counters: dict[int, bool], grid: Grid | None
    ) -> dict[int, list[c.MetricPoint]]:
        points: dict[int, list[c.MetricPoint]] = defaultdict(list)
        if grid is not None and counters:
            for row in await self._rows(tx, account, [*counters], grid, together=False):
                points[row.series].append(_point(row, counters[row.series], grid.step))
        return points

    async def _rows(
        self, tx: Connection, account: str, series: Sequence[int], grid: Grid, *, together: bool
    ) -> list[_PointRow]:
        parameters: dict[str, Any] = msgspec.structs.asdict(grid)
        return await tx.all(
            self._sql["points"],
            _PointRow,
            account=account,
            series=[*series],
            together=together,
            **parameters,
        )


def _point(row: _PointRow, counter: bool, step: int) -> c.MetricPoint:
    if counter:
        return c.MetricPoint(row.at, row.increase / step, None, None, row.count)
    return c.MetricPoint(row.at, row.sum / row.count, row.min, row.max, row.count)
