"""Commands: what devices are asked to do once, with a deadline, a result of each and a history."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.commands.routes import routes
from services.commands.service import commands, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service(
            "commands", commands, resting=resting, needs=("projects",), uses=("auth", "devices")
        )
    ]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("commands", "services.commands")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("commands:read", "See commands and scripts, and what they wrote.", VIEWERS),
        Permission("commands:write", "Send commands to devices, run scripts on them.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("commands", after=("auth",))]
