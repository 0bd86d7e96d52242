"""What the relay asks of other services, and what it offers them, over the bus."""

import msgspec

from hub.contracts import Contract, Nothing, Topic
from hub.protocol import Mark

# ── asked of whoever keeps the integrations ───────────────────────────────────────────────────


class IntegrationSpec(msgspec.Struct, frozen=True):
    """One configured destination of a project.

    Args:
        sealed: the whole config as JSON, sealed by the vault for (account, project,
            "integration/<id>").
        created_at: microseconds since the Unix epoch; lines from then on are delivered.
        revision: raised by every change.
    """

    id: str
    account: str
    project: str
    type: str
    sealed: bytes
    enabled: bool
    created_at: int
    revision: int


class ListIntegrations(msgspec.Struct, frozen=True):
    """A page of all integrations of all projects, by id."""

    after: str = ""
    limit: int = 500


class Integrations(msgspec.Struct, frozen=True):
    """A page; the last one holds fewer than `limit`."""

    items: list[IntegrationSpec]


LIST_INTEGRATIONS = Contract("integrations.list", ListIntegrations, Integrations)


class IntegrationChanged(msgspec.Struct, frozen=True):
    """An integration was made, changed or deleted."""

    id: str
    project: str
    revision: int


INTEGRATION_CHANGED = Topic("integrations.changed", IntegrationChanged)

# ── asked of whoever keeps the devices ────────────────────────────────────────────────────────


class DescribeDevices(msgspec.Struct, frozen=True):
    """Ask for the host names to show for these devices of a project."""

    project: str
    devices: list[str]


class DeviceHosts(msgspec.Struct, frozen=True):
    """Host name by device id: its label, or the id itself; unknown devices are left out."""

    hosts: dict[str, str]


DESCRIBE_DEVICES = Contract("devices.describe", DescribeDevices, DeviceHosts)


class DeviceChanged(msgspec.Struct, frozen=True):
    """A device's label changed, or it was made or deleted."""

    device: str
    project: str


DEVICE_CHANGED = Topic("devices.changed", DeviceChanged)

# ── offered ───────────────────────────────────────────────────────────────────────────────────


class MarksOf(msgspec.Struct, frozen=True):
    """Ask how far each stream of a device is durable."""

    project: str
    device: str


class Marks(msgspec.Struct, frozen=True):
    """The mark of each stream that has one."""

    marks: dict[str, Mark]


MARKS = Contract("relay.marks", MarksOf, Marks)


class ApplyIntegration(msgspec.Struct, frozen=True):
    """Take up one integration now, as it stands (or stop it, when it is gone)."""

    spec: IntegrationSpec | None
    id: str


APPLY_INTEGRATION = Contract("relay.apply", ApplyIntegration, Nothing)


class StatusOf(msgspec.Struct, frozen=True):
    """Ask for the state of these integrations."""

    integrations: list[str]


class IntegrationStatus(msgspec.Struct, frozen=True):
    """How an integration fares.

    Args:
        state: `starting`, `delivering`, `waiting` (nothing to send), `retrying`, `open`
            (the circuit breaker is), `disabled`, `broken` (its config or plugin cannot be used).
        pending: batches stored and not yet delivered; `lag` seconds of the oldest of them.
        delivered, rejected: lines since the start of this process.
        error, error_at: the last one, in words a user understands, and when (µs).
    """

    id: str
    state: str
    pending: int = 0
    lag: float = 0.0
    delivered: int = 0
    rejected: int = 0
    error: str = ""
    error_at: int = 0


class Statuses(msgspec.Struct, frozen=True):
    """One for each integration that this relay runs."""

    items: list[IntegrationStatus]


STATUS = Contract("relay.status", StatusOf, Statuses)


class LogLine(msgspec.Struct, frozen=True):
    """One line as the API shows it; `time` and `received` are RFC 3339 in UTC."""

    id: str
    time: str
    received: str
    device: str
    host: str
    stream: str
    severity: str
    facility: str
    program: str
    message: str


class ReadLogs(msgspec.Struct, frozen=True):
    """Ask for stored lines of a project, newest last.

    Args:
        before: cursor from an earlier answer: lines older than that; "" for the newest.
        device, stream: only these, when given.
    """

    project: str
    limit: int = 100
    before: str = ""
    device: str = ""
    stream: str = ""


class LogPage(msgspec.Struct, frozen=True):
    """Lines in the order in which they were stored; `before` is the cursor of older ones."""

    lines: list[LogLine]
    before: str = ""


READ_LOGS = Contract("relay.logs.read", ReadLogs, LogPage)


class TailLogs(msgspec.Struct, frozen=True):
    """Follow a project's lines from now on, or after the position `after` of an earlier tail."""

    project: str
    after: str = ""
    device: str = ""
    stream: str = ""


class TailLine(msgspec.Struct, frozen=True):
    """One line of a tail; `position` resumes after it; `missed` lines were skipped before it."""

    position: str
    line: LogLine
    missed: int = 0


TAIL_LOGS = Contract("relay.logs.tail", TailLogs, TailLine)
