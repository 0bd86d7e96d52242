"""What the relay asks about integrations, and what it is asked about them."""

import msgspec

from hub.contracts import Contract, Nothing, Topic
from hub.shaping.rules import Shape


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
        gap_lines: lines (at most) that retention, or damage to the store, took before they were
            delivered; of dead letters that were to be replayed, too.
        dead_letters: kept, and not yet replayed or dropped.
        lost_letters: dead letters (at most) that age, or want of room, took before they were;
            `lost_lines` in them, as far as that is known.
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
    lost_letters: int = 0
    lost_lines: int = 0
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
