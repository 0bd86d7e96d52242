"""Projects: what a customer works in, and the tokens that let devices in."""

from typing import Any

from hub import (
    DEVELOPERS,
    VIEWERS,
    AccountData,
    Command,
    Migrations,
    Permission,
    Route,
    Service,
    hookimpl,
)
from services.projects import token_routes
from services.projects.commands import app
from services.projects.routes import routes
from services.projects.service import projects, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("projects", projects, resting=resting)]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("projects", "services.projects")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return [*routes(), *token_routes.routes()]


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax limits`."""
    return [Command("limits", app, "What projects may send.")]


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("projects:read", "See projects, their limits and usage.", VIEWERS),
        Permission("projects:write", "Make, rename and delete projects.", DEVELOPERS),
        Permission("tokens:read", "See project tokens, without the tokens themselves.", DEVELOPERS),
        Permission("tokens:write", "Make and revoke project tokens.", DEVELOPERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept: it goes last, for others find what is theirs by the projects."""
    return [
        AccountData(
            "projects",
            after=("messages", "auth", "devices", "envars", "commands", "scripts", "relay"),
        )
    ]
