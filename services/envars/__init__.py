"""Variables: what an app, and the agent itself, find in their environment on each device."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.envars.routes import routes
from services.envars.service import envars, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service("envars", envars, resting=resting, needs=("projects",), uses=("auth", "devices"))
    ]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("envars", "services.envars")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("envars:read", "See variables, without the values of secrets.", VIEWERS),
        Permission("envars:write", "Set and drop variables.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("envars", after=("auth",))]
