"""Scripts: run once on a device, a group or a whole project, with a result from each device."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.scripts.routes import routes
from services.scripts.service import scripts


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("scripts", scripts, needs=("projects", "auth", "devices"))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("scripts", "services.scripts")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("scripts:read", "See scripts that were run, and what they wrote.", VIEWERS),
        Permission("scripts:write", "Run scripts on devices.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("scripts", after=("auth",))]
