"""Messages: where a project's log lines go, and the log itself."""

from typing import Any

from hub import Migrations, Route, Service, hookimpl
from services.messages.routes import routes
from services.messages.service import messages


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("messages", messages, needs=("projects", "relay"))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("messages", "services.messages")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()
