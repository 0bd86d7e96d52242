"""Pages of lists, and their opaque cursors: a client gives back what it got, unlooked at."""

import base64
import binascii
from collections.abc import Sequence
from typing import Generic, Protocol, Self, TypeVar

import msgspec

from hub.errors import FieldError, Invalid

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, as services give it; `more` says that there is another."""

    items: list[T]
    more: bool

    @classmethod
    def of(cls, rows: list[T], limit: int) -> Self:
        """Make a page of rows, of which one more was read than a page has if there are so many.

        Args:
            limit: items of a page.
        """
        return cls(rows[:limit], len(rows) > limit)


def cursor_of(position: int) -> str:
    """Make the cursor for the rows after `position`."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


class Numbered(Protocol):
    """Something that a list is ordered by the number of."""

    @property
    def number(self) -> int:
        """Its place in the order."""
        ...


def cursor_after(items: Sequence[Numbered], *, more: bool) -> str | None:
    """Give the cursor of the page after these items; None when there is no more."""
    return cursor_of(items[-1].number) if more else None


def position_of(cursor: str) -> int:
    """Read a cursor; "" is the beginning.

    Raises:
        Invalid: it is not one of ours.
    """
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        position = int(text)
    except (binascii.Error, ValueError):
        position = -1
    if not 0 <= position < 1 << 63 or cursor_of(position) != cursor:
        wrong = FieldError("/cursor", "use the cursor of a `Link` header as it is")
        raise Invalid("the cursor is not one that this hub gave out", errors=[wrong])
    return position
