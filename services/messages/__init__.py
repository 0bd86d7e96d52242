"""Messages: where a project's log lines go, and the log itself."""

from typing import Any

from hub import DEVELOPERS, VIEWERS, AccountData, Migrations, Permission, Route, Service, hookimpl
from services.messages.routes import routes
from services.messages.service import messages, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("messages", messages, resting=resting, needs=("projects",), uses=("relay",))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("messages", "services.messages")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    return routes()


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission("integrations:read", "See integrations and how they fare.", VIEWERS),
        Permission("integrations:write", "Configure, try and replay integrations.", DEVELOPERS),
        Permission("dead-letters:read", "Read dead letters.", DEVELOPERS),
        Permission("dead-letters:write", "Fix, replay and drop dead letters.", DEVELOPERS),
        Permission("logs:read", "Read and follow logs.", VIEWERS),
        Permission("metrics:read", "Read metrics.", VIEWERS),
        Permission("relay:read", "See how the relay fares.", VIEWERS),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("messages")]
