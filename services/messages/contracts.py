"""What the service `messages` answers on the bus (and `LIST_INTEGRATIONS`, for the relay)."""

from datetime import datetime
from typing import Any

import msgspec

from hub import Contract, Nothing, Page, Shape
from hub.relay.contracts import IntegrationStatus, TestResult


class Integration(msgspec.Struct, frozen=True):
    """An integration; `config` shows no secret, `revision` makes its ETag.

    Args:
        start_at: microseconds since the Unix epoch; see `hub.relay.contracts.IntegrationSpec`.
    """

    id: str
    number: int
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    shape: Shape
    revision: int
    created_at: datetime
    updated_at: datetime
    start_at: int = 0
    status: IntegrationStatus | None = None


class CreateIntegration(msgspec.Struct, frozen=True):
    """Configure a destination for a project."""

    account: str
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    shape: Shape = Shape()


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


class Integrations(Page[Integration], frozen=True):
    """One page of them."""


class OwnIntegrations(msgspec.Struct, frozen=True):
    """Ask for all integrations of an account."""

    account: str


class IntegrationIds(msgspec.Struct, frozen=True):
    """Their ids, in the order in which they were made."""

    ids: list[str]


class ChangeIntegration(msgspec.Struct, frozen=True):
    """Replace what can be changed.

    A masked or absent secret in `config` stays as it is, if nothing else in `config` changes.
    """

    account: str
    integration: str
    name: str
    enabled: bool
    config: dict[str, Any]
    shape: Shape = Shape()
    versions: tuple[str, ...] | None = None


class SwitchIntegration(msgspec.Struct, frozen=True):
    """Pause an integration, or let it go on; one that is so already stays as it is."""

    account: str
    integration: str
    enabled: bool
    versions: tuple[str, ...] | None = None


class RewindIntegration(msgspec.Struct, frozen=True):
    """Deliver the lines that were taken since then, whether they were delivered before or not.

    Args:
        start_at: None for now, which leaves out what waits.
    """

    account: str
    integration: str
    start_at: datetime | None = None
    versions: tuple[str, ...] | None = None


class TestIntegration(msgspec.Struct, frozen=True):
    """Send one line to where an integration delivers, beside its other lines."""

    account: str
    integration: str
    message: str = ""


class TestConfig(msgspec.Struct, frozen=True):
    """The same for a config that is not saved."""

    account: str
    project: str
    type: str
    config: dict[str, Any]
    message: str = ""


class DeleteIntegration(msgspec.Struct, frozen=True):
    """Delete an integration and its dead letters; what it has not delivered stays in the log."""

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
LIST_IDS = Contract("messages.integrations.ids", OwnIntegrations, IntegrationIds)
CHANGE = Contract("messages.integrations.change", ChangeIntegration, Integration)
SWITCH = Contract("messages.integrations.switch", SwitchIntegration, Integration)
REWIND = Contract("messages.integrations.rewind", RewindIntegration, Integration)
TEST = Contract("messages.integrations.test", TestIntegration, TestResult, timeout=25.0)
TEST_CONFIG = Contract("messages.integrations.test-config", TestConfig, TestResult, timeout=25.0)
DELETE = Contract("messages.integrations.delete", DeleteIntegration, Nothing)
TYPES = Contract("messages.types", Nothing, IntegrationTypes)
