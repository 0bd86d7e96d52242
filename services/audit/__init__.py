"""The audit log for those who may read it: over REST, at the terminal, and through the relay."""

from typing import Any

from hub import ADMINS, Command, Permission, Route, Service, hookimpl
from services.audit.commands import app
from services.audit.routes import routes
from services.audit.service import audit


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("audit", audit, uses=("projects", "relay"))]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("audit:read", "Read the audit log.", ADMINS),
        Permission("audit:write", "Say where the audit log is sent.", ADMINS),
    ]


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax audit`."""
    return [Command("audit", app, "The audit log: check it, and read the hub's own.")]
