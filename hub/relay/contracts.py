"""What the relay asks of other services, and what it offers them, over the bus."""

import msgspec

from hub.contracts import Contract, Nothing, Topic
from hub.protocol import Mark
from hub.shaping.rules import Shape

# ── asked of whoever keeps the integrations ───────────────────────────────────────────────────


class IntegrationSpec(msgspec.Struct, frozen=True):
    """One configured destination of a project.

    Args:
        sealed: the whole config as JSON, sealed by the vault for (account, project,
            "integration/<id>").
        enabled: False pauses it: lines wait for it.
        start_at: microseconds since the Unix epoch; lines from then on are delivered. It is when
            the integration was made, or what a replay asked for; a change puts the cursor there.
        revision: raised by every change; 0 when it is not saved, and only to be tried.
        shape: what is done to lines before they are sent.
    """

    id: str
    account: str
    project: str
    type: str
    sealed: bytes
    enabled: bool
    start_at: int
    revision: int
    shape: Shape = Shape()


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
    deleted: bool = False


INTEGRATION_CHANGED = Topic("integrations.changed", IntegrationChanged)

# ── asked of whoever keeps the devices ────────────────────────────────────────────────────────


class DescribeDevices(msgspec.Struct, frozen=True):
    """Ask for the host names to show for these devices of a project, and their groups."""

    project: str
    devices: list[str]


class DeviceHosts(msgspec.Struct, frozen=True):
    """Host name by device id: its label, or the id itself; unknown devices are left out.

    Args:
        groups: name of the group by device id; `default` for those that are left out.
    """

    hosts: dict[str, str]
    groups: dict[str, str] = {}


DESCRIBE_DEVICES = Contract("devices.describe", DescribeDevices, DeviceHosts)


class DeviceChanged(msgspec.Struct, frozen=True):
    """A device's label or group changed, or it was made or deleted."""

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
            (the circuit breaker is), `paused`, `broken` (its config or plugin cannot be used).
        pending: batches stored and not yet delivered.
        lag_lines: lines (and samples) in them; `lag_seconds` the age of the oldest.
        delivered, rejected: lines since the start of this process.
        left_out: lines that the shape left out since then, by step (`filter`, `sample`, …).
        gap_lines: lines (at most) that retention took before they were delivered.
        dead_letters: kept, and not yet replayed or dropped.
        error, error_at: the last one, in words a user understands, and when (µs).
    """

    id: str
    state: str
    pending: int = 0
    lag_lines: int = 0
    lag_seconds: float = 0.0
    delivered: int = 0
    rejected: int = 0
    left_out: dict[str, int] = {}
    gap_lines: int = 0
    dead_letters: int = 0
    error: str = ""
    error_at: int = 0


class Statuses(msgspec.Struct, frozen=True):
    """One for each integration that this relay runs."""

    items: list[IntegrationStatus]


STATUS = Contract("relay.status", StatusOf, Statuses)


class TestIntegration(msgspec.Struct, frozen=True):
    """Send one line to a destination now, beside what it delivers, by an object made for it."""

    spec: IntegrationSpec
    message: str


class TestResult(msgspec.Struct, frozen=True):
    """What came of it.

    Args:
        outcome: `taken`, `written` (to a destination that never answers), `rejected`, `failed`.
        reason: in words a user understands; "" when it was taken.
        seconds: that it took.
        status, answer: of the last HTTP answer, if there was one; its first 200 characters.
    """

    outcome: str
    reason: str = ""
    seconds: float = 0.0
    status: int | None = None
    answer: str = ""


TEST_INTEGRATION = Contract("relay.test", TestIntegration, TestResult, timeout=22.0)


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


# ── what a shape does ─────────────────────────────────────────────────────────────────────────


class DryRun(msgspec.Struct, frozen=True):
    """Ask what a shape would do to the last lines of a project; nothing is sent."""

    project: str
    shape: Shape
    limit: int = 100


class ShapedLine(msgspec.Struct, frozen=True):
    """What became of one stored line.

    Args:
        outcome: `sent`, or the step that leaves it out (`filter`, `sample`, `rate_limit`), or
            `joined` to the line before it.
        after: as it would be sent; None when it is left out.
    """

    line: LogLine
    outcome: str
    after: LogLine | None = None


class DryRunResult(msgspec.Struct, frozen=True):
    """One for each stored line, oldest first."""

    lines: list[ShapedLine]


DRY_RUN = Contract("relay.dry-run", DryRun, DryRunResult, timeout=10.0)


# ── dead letters ──────────────────────────────────────────────────────────────────────────────


class DeadLine(msgspec.Struct, frozen=True):
    """One line of a dead letter; `time` is RFC 3339."""

    id: str
    time: str
    priority: int
    program: str
    message: str


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be delivered (or taken), and why.

    Args:
        id: its place among the dead letters; they are in order.
        source: id of the integration, or `intake`.
        device, stream: where it comes from; "" when that could not be read.
        at: when it became one; `received` when the hub took it (RFC 3339).
        count: lines or samples in it.
        lines: of it; empty when they cannot be decoded, or in a list. Of a very large one only
            the first, which is when there are fewer than `count`.
        raw: base64 of the payload, when it cannot be decoded.
    """

    id: str
    source: str
    reason: str
    device: str
    host: str
    stream: str
    at: str
    received: str
    count: int
    lines: list[DeadLine] = []
    raw: str = ""


class ListDead(msgspec.Struct, frozen=True):
    """A page of dead letters after `after`, oldest first."""

    project: str
    source: str
    limit: int = 100
    after: int = 0


class DeadLetters(msgspec.Struct, frozen=True):
    """A page; `more` says that there is another; `total` counts all of this source."""

    items: list[DeadLetter]
    more: bool
    total: int


class OneDead(msgspec.Struct, frozen=True):
    """One dead letter, with its lines."""

    project: str
    source: str
    id: str


class FixDead(msgspec.Struct, frozen=True):
    """Replace the texts of a dead letter's lines, one for each."""

    project: str
    source: str
    id: str
    messages: list[str]


class SomeDead(msgspec.Struct, frozen=True):
    """These dead letters of a source; None for all that there are now."""

    project: str
    source: str
    ids: list[str] | None = None


class Counted(msgspec.Struct, frozen=True):
    """How many dead letters, and how many lines and samples in them.

    Args:
        more: some are left, for they are many or there is no room for them now: ask again.
    """

    letters: int
    lines: int
    more: bool = False


LIST_DEAD = Contract("relay.dead.list", ListDead, DeadLetters)
GET_DEAD = Contract("relay.dead.get", OneDead, DeadLetter)
FIX_DEAD = Contract("relay.dead.fix", FixDead, DeadLetter)
DROP_DEAD = Contract("relay.dead.drop", SomeDead, Counted, timeout=25.0)
REPLAY_DEAD = Contract("relay.dead.replay", SomeDead, Counted, timeout=25.0)


# ── metrics ───────────────────────────────────────────────────────────────────────────────────


class LatestMetrics(msgspec.Struct, frozen=True):
    """Ask for what each device of a project said last of each type of metric."""

    project: str


class LatestSamples(msgspec.Struct, frozen=True):
    """The samples of one device's last message of a type; `time` in microseconds."""

    device: str
    host: str
    type: str
    names: list[str]
    values: list[float]
    times: list[int]
    labels: list[dict[str, str]]
    counters: list[bool]


LATEST_METRICS = Contract("relay.metrics.latest", LatestMetrics, LatestSamples)
"""Answered as a stream: one item for each device and type."""


# ── how the relay fares ───────────────────────────────────────────────────────────────────────


class StreamHealth(msgspec.Struct, frozen=True):
    """A JetStream stream of the relay."""

    name: str
    messages: int
    bytes: int
    oldest: str


class RelayHealth(msgspec.Struct, frozen=True):
    """The relay as a whole.

    Args:
        lines_per_second, bytes_per_second: taken from devices and sources, over ten seconds.
        commit_seconds: what storing took on average over that time.
        integrations: how many there are, by state.
        lag_lines, lag_seconds: of the integration that is furthest behind.
    """

    lines_per_second: float
    samples_per_second: float
    bytes_per_second: float
    commit_seconds: float
    streams: list[StreamHealth]
    integrations: dict[str, int]
    lag_lines: int
    lag_seconds: float
    dead_letters: int


RELAY_HEALTH = Contract("relay.health", Nothing, RelayHealth)


# ── limits of a project, asked of whoever keeps them ──────────────────────────────────────────


class LimitsOf(msgspec.Struct, frozen=True):
    """Ask what a project may send."""

    project: str


class ProjectLimits(msgspec.Struct, frozen=True):
    """What a project may send; 0 is no limit. A line more than a day's waits on the device.

    Each holds for log lines and, apart from them, for samples of metrics. None is what the
    relay's settings say for every project.

    Args:
        day: in UTC, `2026-11-23`; of the two that follow.
        lines, samples: noted for the project on that day so far.
    """

    lines_per_second: float | None = None
    bytes_per_second: float | None = None
    lines_per_day: int | None = None
    day: str = ""
    lines: int = 0
    samples: int = 0


PROJECT_LIMITS = Contract("projects.limits", LimitsOf, ProjectLimits)


class UsageNoted(msgspec.Struct, frozen=True):
    """What a project sent since the last time (a few minutes ago, at most).

    Args:
        day: in UTC, `2026-11-23`.
    """

    project: str
    day: str
    lines: int
    samples: int
    bytes: int


USAGE = Topic("relay.usage", UsageNoted)


# ── tokens of a project, asked of whoever keeps them ──────────────────────────────────────────


class TokenDigest(msgspec.Struct, frozen=True):
    """Ask whose token this is; `digest` is its SHA-256 in hex."""

    digest: str


class TokenOwner(msgspec.Struct, frozen=True):
    """The project that a token is for; "" when no project has such a token."""

    project: str = ""


PROJECT_OF_TOKEN = Contract("projects.of-token", TokenDigest, TokenOwner)
