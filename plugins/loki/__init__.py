"""Grafana Loki: lines by its push API."""

from hub import DestinationType, hookimpl
from plugins.loki.config import LokiConfig
from plugins.loki.destination import Loki


@hookimpl
def isaax_destinations() -> list[DestinationType[LokiConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="loki",
            title="Grafana Loki",
            summary="Grafana Loki or Grafana Cloud Logs: few labels, the rest as metadata.",
            config=LokiConfig,
            build=Loki,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            timeout=60.0,
            examples=(
                {"url": "http://loki.example.com:3100", "tenant": "pumps"},
                {
                    "url": "https://logs-prod-eu-west-0.grafana.net",
                    "username": "123456",
                    "password": "glc_secret",
                    "labels": ["project", "host", "stream", "program"],
                },
            ),
        )
    ]
