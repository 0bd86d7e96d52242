"""`isaax status`: how the relay of a hub fares."""

from hub.client.commands import output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName


def status(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show how the hub's relay fares, as a whole (of one project: isaax projects status)."""
    with opened(hub) as session:
        found = session.hub.get_relay()
    if as_json:
        output.write_json(found.body)
        return
    health = found.value
    output.show_fields({
        "lines a second": health.lines_per_second,
        "samples a second": health.samples_per_second,
        "bytes a second": health.bytes_per_second,
        "seconds to store": health.commit_seconds,
        "lines behind": health.lag_lines,
        "seconds behind": health.lag_seconds,
        "dead letters": health.dead_letters,
        "integrations": [f"{count} {state}" for state, count in health.integrations.items()],
    })  # fmt: skip
    output.show_table(health.streams, {
        "stream": lambda one: one.name,
        "messages": lambda one: one.messages,
        "bytes": lambda one: one.bytes,
        "oldest": lambda one: one.oldest,
    })  # fmt: skip
