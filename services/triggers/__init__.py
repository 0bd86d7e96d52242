"""Triggers: what is to be done for a project that comes, and after one that has gone."""

from hub import Service, hookimpl
from services.triggers.service import triggers


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("triggers", triggers, needs=("projects",))]
