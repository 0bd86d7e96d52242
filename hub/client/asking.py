"""What is asked of a hub, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from hub.client.errors import BadId
from hub.structs import encode

Json = Mapping[str, Any]
"""An object of JSON values."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Args:
        path: below the hub's URL, percent-encoded.
        query: None and empty lists are left out.
        body: a Struct, or JSON values, and secrets among them; None for none.
        merge: the body is a merge patch (RFC 7396).
        if_match: an ETag.
        if_absent: it is only to be made where there is none.
        keyed: the hub knows it again by an Idempotency-Key, so that it can be sent twice.
        headers: besides those that follow from all this.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: msgspec.Struct | Json | None = field(default=None, repr=False)
    merge: bool = False
    if_match: str | None = None
    if_absent: bool = False
    keyed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent once more when nobody knows what became of it.

        Not with a condition: it may not hold any more because of the first one.
        """
        if self.method == "POST":
            return self.keyed
        return self.if_match is None and not self.if_absent

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Give the query as it is sent."""
        return tuple(
            (name, _text(one))
            for name, value in self.query.items()
            for one in (value if isinstance(value, list | tuple) else [value])
            if one is not None
        )

    def content(self) -> bytes | None:
        """Give the body as it is sent."""
        return None if self.body is None else encode(self.body)


def part(value: str) -> str:
    """Percent-encode one part of a path.

    Raises:
        BadId: it would lead elsewhere.
    """
    if value in {"", ".", ".."}:
        raise BadId(repr(value))
    return quote(value, safe="")


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode().strip('"')
