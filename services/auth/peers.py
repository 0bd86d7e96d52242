"""What the service `auth` needs of others: only the fields that it reads."""

from datetime import datetime

import msgspec

from hub import Contract, Topic


class ListDigests(msgspec.Struct, frozen=True):
    """A page of the digests of all live project tokens."""

    after: int
    limit: int


class Enrolment(msgspec.Struct, frozen=True):
    """What devices become that register with a token, and which may."""

    expires_at: datetime | None = None
    max_devices: int | None = None
    group: str = "default"
    approval: bool = False


class TokenDigest(msgspec.Struct, frozen=True):
    """SHA-256 (hex) of one live token, and what registering with it means."""

    number: int
    account: str
    project: str
    digest: str
    id: str = ""
    expires_at: datetime | None = None
    max_devices: int | None = None
    group: str = "default"
    approval: bool = False


class Digests(msgspec.Struct, frozen=True):
    """A page; the last one holds fewer than `limit`."""

    items: list[TokenDigest]


class TokenChanged(msgspec.Struct, frozen=True):
    """A token was made or changed (`live`), or revoked."""

    account: str
    project: str
    digest: str
    live: bool
    id: str = ""
    enrolment: Enrolment = Enrolment()


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


LIST_DIGESTS = Contract("projects.tokens.digests", ListDigests, Digests)
TOKEN_CHANGED = Topic("projects.token.changed", TokenChanged)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
