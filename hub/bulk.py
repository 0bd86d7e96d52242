"""Many things changed by one request: each has an outcome of its own, in the order of the request.

One that fails does not undo the others. What the outcomes of a route look like is the same for
every route, whatever it changes.
"""

from typing import Annotated

import msgspec

from hub.errors import FieldError, IsaaxError
from hub.gateway.conditional import etag, parse_if_match
from hub.gateway.problems import TYPES

IfMatch = Annotated[
    str | None,
    msgspec.Meta(description="Change it only if it still has this ETag (412 otherwise)."),
]


class ItemProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why one thing was not changed; the members are those of a problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()

    @classmethod
    def of(cls, error: IsaaxError) -> "ItemProblem":
        """Describe an error that a user can do something about."""
        return cls(f"{TYPES}{error.code}", error.title, error.status, error.detail, error.errors)


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one thing.

    Args:
        status: what a request for this thing alone would have had: 200, or that of the problem.
        version: that it has now; only between services.
    """

    status: int = 200
    version: str = ""
    problem: ItemProblem | None = None

    @classmethod
    def failed(cls, error: IsaaxError) -> "Outcome":
        """Tell that it was not changed."""
        return cls(error.status, problem=ItemProblem.of(error))

    @property
    def etag(self) -> str | None:
        """The ETag that it has now; None if it was not changed."""
        return None if self.problem else etag(self.version)


def versions_of(if_match: str | None) -> tuple[str, ...] | None:
    """Give the versions that an item's `if_match` names; None when any will do.

    Raises:
        Malformed: it is no list of entity tags.
    """
    versions = parse_if_match(if_match, required=False)
    return None if versions == ("*",) else versions
