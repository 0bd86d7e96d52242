"""Datadog: lines to its logs intake."""

from hub import DestinationType, hookimpl
from plugins.datadog.config import DatadogConfig
from plugins.datadog.destination import Datadog


@hookimpl
def isaax_destinations() -> list[DestinationType[DatadogConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="datadog",
            title="Datadog",
            summary="Datadog Logs (API v2): compressed JSON over HTTPS, any site.",
            config=DatadogConfig,
            build=Datadog,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            max_bytes=2_000_000,
            examples=(
                {"api_key": "0123456789abcdef0123456789abcdef", "site": "datadoghq.eu"},
                {
                    "api_key": "0123456789abcdef0123456789abcdef",
                    "url": "https://logs-proxy.example.com/api/v2/logs",
                    "tags": {"env": "production"},
                },
            ),
        )
    ]
