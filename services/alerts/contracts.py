"""What the service `alerts` answers on the bus."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from hub import Contract, Nothing, Page, Severity

Kind = Literal["offline", "metric", "error-rate", "silence"]
Stream = Literal["", "app", "sys", "agent"]
State = Literal["fired", "resolved"]

STREAMS: Final = ("app", "sys", "agent")


class What(msgspec.Struct, frozen=True):
    """What a rule looks for, and whom it concerns; see `services.alerts.routes.AlertRuleBody`."""

    name: str
    kind: Kind
    group: str
    severity: Severity
    enabled: bool
    minutes: int
    metric: str
    over: float | None
    under: float | None
    clear: float | None
    device: str = ""
    stream: Stream = ""
    level: Severity | None = None


class Rule(msgspec.Struct, frozen=True):
    """A rule; `number` orders lists, `version` makes its ETag, `firing` counts what it tells of."""

    id: str
    number: int
    account: str
    project: str
    name: str
    kind: Kind
    group: str
    severity: Severity
    enabled: bool
    minutes: int
    metric: str
    over: float | None
    under: float | None
    clear: float | None
    device: str
    stream: Stream
    level: Severity | None
    version: int
    created_at: datetime
    updated_at: datetime
    firing: int


class AddRule(msgspec.Struct, frozen=True):
    """Look for something in a project from now on."""

    account: str
    project: str
    what: What


class OneRule(msgspec.Struct, frozen=True):
    """One rule of an account."""

    account: str
    rule: str


class ListRules(msgspec.Struct, frozen=True):
    """A page of a project's rules after `after`."""

    account: str
    project: str
    limit: int
    after: int = 0


class Rules(Page[Rule], frozen=True):
    """One page of them."""


class ChangeRule(msgspec.Struct, frozen=True):
    """Have a rule look for something else; it begins anew."""

    account: str
    rule: str
    what: What
    versions: tuple[str, ...] | None = None


class DeleteRule(msgspec.Struct, frozen=True):
    """Delete a rule; what it told stays in the history."""

    account: str
    rule: str
    versions: tuple[str, ...] | None = None


class Event(msgspec.Struct, frozen=True):
    """Something that a rule told.

    Args:
        subject: labels of the series, where the device has several.
    """

    number: int
    rule: str
    rule_name: str
    device: str
    host: str
    subject: str
    state: State
    severity: Severity
    text: str
    at: datetime


class ListEvents(msgspec.Struct, frozen=True):
    """A page of what was told in a project, newest first, before the number `before`.

    Args:
        firing: only what is so at present.
    """

    account: str
    project: str
    limit: int
    before: int = 0
    rule: str = ""
    device: str = ""
    firing: bool = False


class Events(Page[Event], frozen=True):
    """One page of them."""


ADD = Contract("alerts.rules.add", AddRule, Rule)
GET = Contract("alerts.rules.get", OneRule, Rule)
LIST = Contract("alerts.rules.list", ListRules, Rules)
CHANGE = Contract("alerts.rules.change", ChangeRule, Rule)
DELETE = Contract("alerts.rules.delete", DeleteRule, Nothing)
EVENTS = Contract("alerts.events.list", ListEvents, Events)
