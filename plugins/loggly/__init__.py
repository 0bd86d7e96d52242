"""Loggly: lines as JSON events to its bulk endpoint."""

from hub import DestinationType, hookimpl
from plugins.loggly.config import LogglyConfig
from plugins.loggly.destination import Loggly


@hookimpl
def isaax_destinations() -> list[DestinationType[LogglyConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="loggly",
            title="Loggly",
            summary="SolarWinds Loggly: JSON events over HTTPS, with tags.",
            config=LogglyConfig,
            build=Loggly,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            examples=(
                {"token": "00000000-0000-0000-0000-000000000000", "tags": ["isaax", "pumps"]},
            ),
        )
    ]
