"""Telemetry: what devices measure, kept for a while, for charts."""

from typing import Any

from hub import AccountData, ConfigSection, Migrations, Route, Service, hookimpl
from services.telemetry.routes import routes
from services.telemetry.service import resting, telemetry
from services.telemetry.settings import TelemetrySettings


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service(
            "telemetry", telemetry, resting=resting, needs=("projects",), uses=("devices", "relay")
        )
    ]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("telemetry", "services.telemetry")]


@hookimpl
def isaax_config() -> list[ConfigSection]:
    """Declare its section of `hub.toml`."""
    return [ConfigSection("telemetry", TelemetrySettings)]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("telemetry", after=("auth", "relay"))]
