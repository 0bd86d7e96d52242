"""Prometheus: remote-write, and a page to scrape for each project."""

from typing import Any

from hub import DestinationType, Route, hookimpl
from plugins.prometheus import routes
from plugins.prometheus.config import PrometheusConfig
from plugins.prometheus.destination import RemoteWrite


@hookimpl
def isaax_destinations() -> list[DestinationType[PrometheusConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="prometheus",
            title="Prometheus remote-write",
            summary="Metrics for Prometheus, Mimir, VictoriaMetrics and others, by remote-write.",
            config=PrometheusConfig,
            build=None,
            metrics=RemoteWrite,
            max_lines=2_000,  # Prometheus' own max_samples_per_send
            examples=(
                {"url": "https://prometheus.example.com/api/v1/write"},
                {
                    "url": "https://mimir.example.com/api/v1/push",
                    "username": "12345",
                    "password": "your-password",
                    "headers": {"X-Scope-OrgID": "acme"},
                },
            ),
        )
    ]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare the page to scrape."""
    return routes.routes()
