"""Scripts of projects."""

from hub import Migrations, Service, hookimpl
from services.scripts.service import scripts


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("scripts", scripts)]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("scripts", "services.scripts")]
