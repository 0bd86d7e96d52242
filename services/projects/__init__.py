"""Projects: what a customer works in, and the tokens that let devices in."""

from typing import Any

from hub import Migrations, Route, Service, hookimpl
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
