"""InfluxDB: metrics, and lines if wanted, as line protocol."""

from hub import DestinationType, hookimpl
from plugins.influx.config import InfluxConfig
from plugins.influx.destination import build_logs, build_metrics


@hookimpl
def isaax_destinations() -> list[DestinationType[InfluxConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="influx",
            title="InfluxDB",
            summary="Metrics for InfluxDB 1, 2 and 3, and what else takes line protocol.",
            config=InfluxConfig,
            build=build_logs,
            metrics=build_metrics,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            examples=(
                {
                    "url": "https://influx.example.com:8086",
                    "org": "acme",
                    "bucket": "isaax",
                    "token": "your-token",
                },
                {
                    "url": "https://influx.example.com:8086",
                    "api": "v1",
                    "database": "isaax",
                    "username": "isaax",
                    "password": "your-password",
                    "logs": True,
                },
            ),
        )
    ]
