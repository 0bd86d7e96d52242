"""`isaax devices usage`: how much devices send and are sent."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import opened
from hub.client.commands.metrics import number
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.structs import DataUsageView, DeviceDataCount


def usage(
    device: Annotated[
        str | None,
        typer.Argument(
            help="Label or id of one, day by day; by default all of the project.",
            show_default=False,
            autocompletion=completing.devices,
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DAY",
            help="First day (UTC), as 2026-11-23; by default 30 days ago.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="Last day; by default today.", show_default=False),
    ] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show how much devices sent and were sent, the most first; or one of them, day by day."""
    with opened(hub) as session:
        if device is None:
            within = session.project(project)
            found = session.hub.list_device_data_usage(within, limit=200, from_=first, to=last)
            output.show_list(found, DEVICES, as_json=as_json, empty="None.")
            return
        meant = session.device(device, project)
        read = session.hub.read_device_data_usage(meant, from_=first, to=last)
    if as_json:
        output.write_json(read.body)
    else:
        _show_days(read.value)


COUNTS: "output.Columns[Any]" = {
    "up": lambda one: f"{number(one.up_bytes)}B",
    "messages up": lambda one: one.up_messages,
    "down": lambda one: f"{number(one.down_bytes)}B",
    "messages down": lambda one: one.down_messages,
}
DEVICES: "output.Columns[DeviceDataCount]" = {
    "id": lambda one: one.device,
    "label": lambda one: one.label,
    **COUNTS,
}


def _show_days(usage: "DataUsageView") -> None:
    """Print the days, and what they and this month come to."""
    rows: list[tuple[str, Any]] = [(day.day, day) for day in usage.days]
    rows += [("together", usage.total), ("this month", usage.this_month)]

    def of(column: Callable[[Any], object]) -> Callable[[tuple[str, Any]], object]:
        return lambda row: column(row[1])

    columns = {heading: of(column) for heading, column in COUNTS.items()}
    output.show_table(rows, {"day": lambda row: row[0], **columns})
