"""What the service `auth` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Topic


class ListDigests(msgspec.Struct, frozen=True):
    """A page of the digests of all live project tokens."""

    after: int
    limit: int


class TokenDigest(msgspec.Struct, frozen=True):
    """SHA-256 (hex) of one live token."""

    number: int
    account: str
    project: str
    digest: str


class Digests(msgspec.Struct, frozen=True):
    """A page; the last one holds fewer than `limit`."""

    items: list[TokenDigest]


class TokenChanged(msgspec.Struct, frozen=True):
    """A token was made (`live`) or revoked."""

    account: str
    project: str
    digest: str
    live: bool


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


LIST_DIGESTS = Contract("projects.tokens.digests", ListDigests, Digests)
TOKEN_CHANGED = Topic("projects.token.changed", TokenChanged)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
