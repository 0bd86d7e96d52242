"""Rows of a query as Structs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from hub.sql.queries import Query, QueryError

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_structs(rows: Sequence[asyncpg.Record], into: type[T], query: Query) -> list[T]:
    """Convert rows by column name, or their only column when `into` is no Struct.

    Raises:
        QueryError: they do not fit; the text has no value of a row.
    """
    if not rows:
        return []
    try:
        if isinstance(into, type) and issubclass(into, msgspec.Struct):
            adapt = _adapters(into)
            return [msgspec.convert(_adapted(dict(row), adapt), into) for row in rows]
        if len(rows[0]) != 1:
            raise QueryError(f"{query}: {into} takes one column, it gives {len(rows[0])}")
        change = _adapter(into)
        values = [value for row in rows for value in row.values()]
        if change is not None:
            values = [value if value is None else change(value) for value in values]
        return [msgspec.convert(value, into) for value in values]
    except msgspec.ValidationError as error:
        # msgspec quotes a value only where it is no member of an enum; cut that.
        reason = "a value is no member of its enum" if "enum" in str(error) else str(error)
        raise QueryError(f"{query}: a row does not fit {into}: {reason}") from None


def _adapted(row: dict[str, Any], adapt: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    for name, change in adapt.items():
        value = row.get(name)
        if value is not None:
            row[name] = change(value)
    return row


@cache
def _adapters(into: type[msgspec.Struct]) -> Mapping[str, Callable[[Any], Any]]:
    """Give what must be done to a column before msgspec sees it, by the field's name."""
    hints = get_type_hints(into)
    found = {
        field.encode_name: _adapter(hints[field.name]) for field in msgspec.structs.fields(into)
    }
    return {name: change for name, change in found.items() if change is not None}


def _adapter(hint: Any) -> Callable[[Any], Any] | None:
    if get_origin(hint) in (Union, UnionType):
        kinds = [part for part in get_args(hint) if part is not NoneType]
        hint = kinds[0] if len(kinds) == 1 else None
    if hint is int:
        return _microseconds
    if hint is str:
        return _text
    return None


def _microseconds(value: Any) -> Any:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
