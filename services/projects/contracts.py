"""What the service `projects` answers and says on the bus."""

from datetime import datetime

import msgspec

from hub import Contract, Nothing, Page, Topic


class Project(msgspec.Struct, frozen=True):
    """A project, as services see it; `number` orders lists, `version` makes its ETag."""

    id: str
    account: str
    number: int
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


class CreateProject(msgspec.Struct, frozen=True):
    """Make a project."""

    account: str
    name: str


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class ListProjects(msgspec.Struct, frozen=True):
    """A page of an account's projects after `after`."""

    account: str
    limit: int
    after: int = 0


class Projects(Page[Project], frozen=True):
    """One page of them."""


class RenameProject(msgspec.Struct, frozen=True):
    """Change a project's name; `versions`, when given, are those that the caller has seen."""

    account: str
    project: str
    name: str
    versions: tuple[str, ...] | None = None


class DeleteProject(msgspec.Struct, frozen=True):
    """Delete a project and all that is in it."""

    account: str
    project: str
    versions: tuple[str, ...] | None = None


class Enrolment(msgspec.Struct, frozen=True):
    """What devices become that register with a token, and which may.

    Args:
        expires_at: none registers after it; those that have go on connecting with the token.
        max_devices: that may be registered with it and are there still; None is any number.
        group: that they are in at first.
        approval: each is let in once somebody has approved it.
    """

    expires_at: datetime | None = None
    max_devices: int | None = None
    group: str = "default"
    approval: bool = False


class Token(msgspec.Struct, frozen=True):
    """A project token, without the token itself; `version` makes its ETag."""

    id: str
    project: str
    number: int
    name: str
    prefix: str
    version: int
    created_at: datetime
    expires_at: datetime | None
    max_devices: int | None
    group: str
    approval: bool

    @property
    def enrolment(self) -> Enrolment:
        """What registering with it means."""
        return Enrolment(self.expires_at, self.max_devices, self.group, self.approval)


class CreateToken(msgspec.Struct, frozen=True):
    """Make a project token."""

    account: str
    project: str
    name: str
    enrolment: Enrolment = Enrolment()


class ChangeToken(msgspec.Struct, frozen=True):
    """Name a token, and say what registering with it means."""

    account: str
    project: str
    token: str
    name: str
    enrolment: Enrolment
    versions: tuple[str, ...] | None = None


class CreatedToken(msgspec.Struct, frozen=True):
    """A new token, with the secret: it is shown this once."""

    token: Token
    secret: str


class OneToken(msgspec.Struct, frozen=True):
    """One token of a project."""

    account: str
    project: str
    token: str


class DeleteToken(msgspec.Struct, frozen=True):
    """Revoke a token; `versions` are those that the caller has seen."""

    account: str
    project: str
    token: str
    versions: tuple[str, ...] | None = None


class ListTokens(msgspec.Struct, frozen=True):
    """A page of a project's tokens."""

    account: str
    project: str
    limit: int
    after: int = 0


class Tokens(Page[Token], frozen=True):
    """One page of them."""


class ListDigests(msgspec.Struct, frozen=True):
    """A page of the digests of all live tokens, for the broker's table."""

    after: int = 0
    limit: int = 1000


class TokenDigest(msgspec.Struct, frozen=True):
    """SHA-256 (hex) of one live token, and what registering with it means."""

    number: int
    account: str
    project: str
    digest: str
    id: str
    expires_at: datetime | None
    max_devices: int | None
    group: str
    approval: bool


class Digests(msgspec.Struct, frozen=True):
    """A page; the last one holds fewer than `limit`."""

    items: list[TokenDigest]


class Limits(msgspec.Struct, frozen=True):
    """What a project may send, and what it sent on a day.

    Args:
        lines_per_second, bytes_per_second, lines_per_day: None is what the hub's settings say,
            0 no limit.
        day: in UTC, `2026-11-23`.
    """

    lines_per_second: float | None
    bytes_per_second: float | None
    lines_per_day: int | None
    day: str
    lines: int
    samples: int
    bytes: int


CREATE = Contract("projects.create", CreateProject, Project)
GET = Contract("projects.get", GetProject, Project)
LIST = Contract("projects.list", ListProjects, Projects)
LIST_OWN = Contract("projects.account.list", ListProjects, Projects)
RENAME = Contract("projects.rename", RenameProject, Project)
DELETE = Contract("projects.delete", DeleteProject, Nothing)
CREATE_TOKEN = Contract("projects.tokens.create", CreateToken, CreatedToken)
GET_TOKEN = Contract("projects.tokens.get", OneToken, Token)
CHANGE_TOKEN = Contract("projects.tokens.change", ChangeToken, Token)
LIST_TOKENS = Contract("projects.tokens.list", ListTokens, Tokens)
DELETE_TOKEN = Contract("projects.tokens.delete", DeleteToken, Nothing)
GET_LIMITS = Contract("projects.limits.get", GetProject, Limits)
LIST_DIGESTS = Contract("projects.tokens.digests", ListDigests, Digests)


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


class TokenChanged(msgspec.Struct, frozen=True):
    """A token was made or changed (`live`), or revoked."""

    account: str
    project: str
    digest: str
    live: bool
    id: str = ""
    enrolment: Enrolment = Enrolment()


CREATED = Topic("projects.created", ProjectChanged)
DELETED = Topic("projects.deleted", ProjectChanged)
TOKEN_CHANGED = Topic("projects.token.changed", TokenChanged)
