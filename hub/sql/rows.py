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
_ADAPTABLE: Final = (datetime, UUID)


def to_structs(rows: Sequence[asyncpg.Record], into: type[T], query: Query) -> list[T]:
    """Convert rows by column name, or their only column when `into` is no Struct.

    Raises:
        QueryError: they do not fit; the text has no value of a row.
    """
    if not rows:
        return []
    try:
        if isinstance(into, type) and issubclass(into, msgspec.Struct):
            values = [dict(row) for row in rows]
            for name, needed in _needed(values, _adapters(into)).items():
                for value in values:
                    if value[name] is not None:
                        value[name] = needed(value[name])
            found: list[T] = msgspec.convert(values, _list_of(into))
            return found
        if len(rows[0]) != 1:
            raise QueryError(f"{query}: {into} takes one column, it gives {len(rows[0])}")
        change = _adapter(into)
        single = [value for row in rows for value in row.values()]
        if change is not None:
            single = [value if value is None else change(value) for value in single]
        return [msgspec.convert(value, into) for value in single]
    except msgspec.ValidationError as error:
        # msgspec quotes a value only where it is no member of an enum; cut that.
        reason = "a value is no member of its enum" if "enum" in str(error) else str(error)
        raise QueryError(f"{query}: a row does not fit {into}: {reason}") from None


def _needed(
    rows: Sequence[Mapping[str, Any]], adapters: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Callable[[Any], Any]]:
    """Give those adapters that the columns need: all values of one are of the same type."""
    needed = {}
    for name, change in adapters.items():
        if name in rows[0]:
            value = next((row[name] for row in rows if row[name] is not None), None)
            if isinstance(value, _ADAPTABLE):
                needed[name] = change
    return needed


@cache
def _list_of(into: type[T]) -> type[list[T]]:
    return list[into]  # type: ignore[valid-type]


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
