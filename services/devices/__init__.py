"""Devices: what there is, what it is called, and whether it is here."""

from typing import Any

from hub import Migrations, Route, Service, hookimpl
from services.devices.routes import routes
from services.devices.service import devices


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("devices", devices, needs=("projects", "auth"))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("devices", "services.devices")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()
