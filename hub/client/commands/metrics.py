"""`isaax metrics …`: what devices measure, and how it went."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.client.commands import completing, moments, output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.structs import MetricPoint, MetricView, SeriesView

app = typer.Typer(no_args_is_help=True, help="Metrics: what devices measure.")

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 40
"""Characters of a sparkline, at most."""

Device = Annotated[
    str | None,
    typer.Option(
        help="Of this device, by label or id.",
        show_default=False,
        autocompletion=completing.devices,
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--type", help="Only device, cpu, memory, disk, network or ps.", show_default=False
    ),
]  # fmt: skip


@app.command("list")
def list_metrics(
    device: Device = None,
    kind: Kind = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List the metrics of a project; of a device, its series with their last values."""
    with opened(hub) as session:
        within = session.project(project)
        if device is None:
            metrics = session.hub.read_project_metrics(within, limit=200, type_=kind)
            output.show_list(metrics, METRICS, as_json=as_json, empty="None.")
        else:
            meant = session.device(device, within)
            series = session.hub.read_device_metrics(meant, limit=200, type_=kind)
            output.show_list(series, SERIES, as_json=as_json, empty="None.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Of the metric, as cpu_usage_ratio.")],
    device: Device = None,
    since: Annotated[
        str, typer.Option(help="From then on: 10m, 2h, 7d ago, or 2026-11-23T15:04:05Z.")
    ] = "1d",
    until: Annotated[
        str | None, typer.Option(help="Before then; by default now.", show_default=False)
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="Seconds between points.", min=1, show_default=False)
    ] = None,
    kind: Kind = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show how a metric went: of all devices together, or each series of one.

    Of a counter, by how much it grew each second.
    """
    now = time.time()
    span: dict[str, Any] = {
        "since": _moment(since, now, "--since"),
        "until": _moment(until, now, "--until") if until else None,
        "step": step,
        "name": name,
        "type_": kind,
        "limit": 200,
    }
    with opened(hub) as session:
        within = session.project(project)
        empty = f"Nothing is called {output.clean(name)}."
        if device is None:
            metrics = session.hub.read_project_metrics(within, **span)
            output.show_list(metrics, {**CHART, "devices": METRICS["devices"]}, as_json=as_json,
                             empty=empty)  # fmt: skip
        else:
            series = session.hub.read_device_metrics(session.device(device, within), **span)
            output.show_list(series, {"labels": SERIES["labels"], **CHART}, as_json=as_json,
                             empty=empty)  # fmt: skip


def sparkline(values: Sequence[float]) -> str:
    """Draw values as bars, from the least to the most of them; neighbours are put together."""
    if not values:
        return ""
    size = -(-len(values) // WIDTH)
    pieces = [values[n : n + size] for n in range(0, len(values), size)]
    means = [sum(piece) / len(piece) for piece in pieces]
    least, most = min(means), max(means)
    top = len(BARS) - 1
    scale = top / (most - least) if most > least else 0.0
    return "".join(BARS[round((value - least) * scale)] for value in means)


def number(value: float | None) -> str | None:
    """Write a value as people read it: four digits that count, with k, M, G or T."""
    if value is None:
        return None
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor * 10:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"


def _labels(one: "SeriesView") -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(one.labels.items()))


def _values(one: "MetricView | SeriesView") -> list[float]:
    return [point.value for point in one.points]


def _extreme(one: "MetricView | SeriesView", which: str) -> str | None:
    """Give the least or the greatest of all samples; of a counter, of its points."""
    choose = min if which == "min" else max

    def of(point: "MetricPoint") -> float:
        bound: float | None = getattr(point, which)
        return point.value if bound is None else bound

    return number(choose(map(of, one.points))) if one.points else None


def _moment(text: str, now: float, option: str) -> datetime:
    return datetime.fromtimestamp(moments.past(text, now, option) / 1e6, UTC)


METRICS: "output.Columns[MetricView]" = {
    "type": lambda one: one.type,
    "name": lambda one: one.name,
    "counter": lambda one: one.counter,
    "devices": lambda one: one.devices,
    "series": lambda one: one.series,
}
SERIES: "output.Columns[SeriesView]" = {
    "type": lambda one: one.type,
    "name": lambda one: one.name,
    "labels": _labels,
    "last": lambda one: number(one.last),
    "at": lambda one: one.last_at,
}
CHART: "output.Columns[Any]" = {
    "name": lambda one: one.name,
    "every": lambda one: f"{one.step} s",
    "chart": lambda one: sparkline(_values(one)),
    "min": lambda one: _extreme(one, "min"),
    "max": lambda one: _extreme(one, "max"),
    "last": lambda one: number(_values(one)[-1]) if one.points else None,
}
