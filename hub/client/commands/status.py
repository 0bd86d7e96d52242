"""`isaax status`: how the relay fares with an account's projects."""

from typing import TYPE_CHECKING

from hub.client.commands import output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName

if TYPE_CHECKING:
    from hub.client.structs import RelayHealth

FIELDS: "output.Columns[RelayHealth]" = {
    "lines a second": lambda one: one.lines_per_second,
    "samples a second": lambda one: one.samples_per_second,
    "bytes a second": lambda one: one.bytes_per_second,
    "integrations": lambda one: [f"{count} {state}" for state, count in one.integrations.items()],
    "batches waiting": lambda one: one.pending,
    "lines behind": lambda one: one.lag_lines,
    "seconds behind": lambda one: one.lag_seconds,
    "lines lost": lambda one: one.gap_lines,
    "dead letters": lambda one: one.dead_letters,
    "letters lost": lambda one: one.lost_letters,
}


def status(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show how the relay fares with all your projects (with one: isaax projects status)."""
    with opened(hub) as session:
        output.show_one(session.hub.get_relay(), FIELDS, as_json=as_json)
