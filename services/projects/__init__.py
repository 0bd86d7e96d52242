"""Projects: what a customer works in, and the tokens that let devices in."""

from typing import Any

from hub import Command, Migrations, Route, Service, hookimpl
from services.projects.commands import app
from services.projects.routes import routes
from services.projects.service import projects


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("projects", projects)]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("projects", "services.projects")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax limits`."""
    return [Command("limits", app, "What projects may send.")]
