"""Alerts: what is worth telling of devices, once when it begins and once when it ends."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.alerts.routes import routes
from services.alerts.service import alerts, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service(
            "alerts",
            alerts,
            resting=resting,
            needs=("projects",),
            uses=("devices", "telemetry", "relay"),
        )
    ]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("alerts", "services.alerts")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("alerts:read", "See alert rules, and what they told.", VIEWERS),
        Permission("alerts:write", "Say what is worth telling.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("alerts")]
