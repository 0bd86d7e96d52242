"""What a project may send, what it sent, and whose token is whose."""

import msgspec

from hub.contracts import Contract, Topic


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


class AccountsOf(msgspec.Struct, frozen=True):
    """Ask whose accounts these projects are of."""

    projects: list[str]


class Accounts(msgspec.Struct, frozen=True):
    """Account by project; those that are not there are left out."""

    accounts: dict[str, str]


PROJECT_ACCOUNTS = Contract("projects.accounts", AccountsOf, Accounts)


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


class TokenDigest(msgspec.Struct, frozen=True):
    """Ask whose token this is; `digest` is its SHA-256 in hex."""

    digest: str


class TokenOwner(msgspec.Struct, frozen=True):
    """The project that a token is for; "" when no project has such a token."""

    project: str = ""


PROJECT_OF_TOKEN = Contract("projects.of-token", TokenDigest, TokenOwner)
