"""Scripts: what devices run by themselves, before and after their app comes or changes."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.scripts.routes import routes
from services.scripts.service import resting, scripts


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service("scripts", scripts, resting=resting, needs=("projects",), uses=("auth", "devices"))
    ]


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
        Permission("scripts:read", "See a project's scripts, and what they wrote.", VIEWERS),
        Permission("scripts:write", "Change a project's scripts.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("scripts", after=("auth",))]
