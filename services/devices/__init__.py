"""Devices: what there is, what it is called, and whether it is here."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.devices import group_routes, usage_routes
from services.devices.routes import routes
from services.devices.service import devices, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("devices", devices, resting=resting, needs=("projects",), uses=("auth",))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("devices", "services.devices")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return [*routes(), *group_routes.routes(), *usage_routes.routes()]


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("devices:read", "See devices, and how much they send.", VIEWERS),
        Permission("devices:write", "Approve, name, group, tag and remove devices.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("devices", after=("auth",))]
