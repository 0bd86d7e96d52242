"""What is shown of an integration."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.client.commands.output import Columns
    from hub.client.structs import IntegrationView


def state(one: "IntegrationView") -> str | None:
    """Give an integration's state; what is paused is, whether the relay says so yet or not."""
    if not one.enabled:
        return "paused"
    return one.status.state if one.status else None


INTEGRATIONS: "Columns[IntegrationView]" = {
    "id": lambda one: one.id,
    "type": lambda one: one.type,
    "name": lambda one: one.name,
    "state": state,
    "delivered": lambda one: one.status.delivered if one.status else None,
    "behind": lambda one: one.status.lag_lines if one.status else None,
    "dead letters": lambda one: one.status.dead_letters if one.status else None,
    "error": lambda one: one.status.error if one.status else None,
}
INTEGRATION: "Columns[IntegrationView]" = {
    **INTEGRATIONS,
    "made": lambda one: one.created_at,
    "changed": lambda one: one.updated_at,
}
