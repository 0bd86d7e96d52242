"""What the service `messages` answers on the bus (and `LIST_INTEGRATIONS`, for the relay)."""

from datetime import datetime
from typing import Any

import msgspec

from hub import Contract, Nothing
from hub.relay.contracts import IntegrationStatus


class Integration(msgspec.Struct, frozen=True):
    """An integration; `config` shows no secret, `revision` makes its ETag."""

    id: str
    number: int
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    revision: int
    created_at: datetime
    updated_at: datetime
    status: IntegrationStatus | None = None


class CreateIntegration(msgspec.Struct, frozen=True):
    """Configure a destination for a project."""

    account: str
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]


class OneIntegration(msgspec.Struct, frozen=True):
    """One integration of an account."""

    account: str
    integration: str


class ListIntegrations(msgspec.Struct, frozen=True):
    """A page of a project's integrations after `after`."""

    account: str
    project: str
    limit: int
    after: int = 0


class Integrations(msgspec.Struct, frozen=True):
    """A page; `more` says that there is another."""

    items: list[Integration]
    more: bool


class ChangeIntegration(msgspec.Struct, frozen=True):
    """Replace what can be changed.

    A masked or absent secret in `config` stays as it is, if nothing else in `config` changes.
    """

    account: str
    integration: str
    name: str
    enabled: bool
    config: dict[str, Any]
    versions: tuple[str, ...] | None = None


class DeleteIntegration(msgspec.Struct, frozen=True):
    """Delete an integration; what it has not delivered yet stays in the log."""

    account: str
    integration: str
    versions: tuple[str, ...] | None = None


class IntegrationType(msgspec.Struct, frozen=True):
    """A kind of destination, with the JSON Schema (2020-12) of its config."""

    name: str
    title: str
    summary: str
    config_schema: dict[str, Any]
    examples: list[dict[str, Any]]


class IntegrationTypes(msgspec.Struct, frozen=True):
    """Every kind that this hub can deliver to, by name."""

    items: list[IntegrationType]


CREATE = Contract("messages.integrations.create", CreateIntegration, Integration)
GET = Contract("messages.integrations.get", OneIntegration, Integration)
LIST = Contract("messages.integrations.list", ListIntegrations, Integrations)
CHANGE = Contract("messages.integrations.change", ChangeIntegration, Integration)
DELETE = Contract("messages.integrations.delete", DeleteIntegration, Nothing)
TYPES = Contract("messages.types", Nothing, IntegrationTypes)
