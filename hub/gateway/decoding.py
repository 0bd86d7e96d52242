"""Query strings and bodies become the Structs that a route asks for, or a clear refusal."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from hub.errors import FieldError, Invalid
from hub.gateway.problems import Malformed
from hub.routes import Route
from hub.secret import Secret
from hub.structs import decode, pointer

S = TypeVar("S", bound=msgspec.Struct)

MAX_DEPTH: Final = 32
"""Levels of arrays and objects in a body."""
_MAX_PARAMETERS: Final = 100
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


# ── bodies ────────────────────────────────────────────────────────────────────────────────────


def parse_json(body: bytes) -> Any:
    """Read a body as JSON values that every part behind this can hold.

    Raises:
        Malformed: it is not JSON in UTF-8.
        Invalid: it is nested too deeply, or holds NUL in a string (which Postgres has no place
            for) or an integer beyond 64 bits.
    """
    try:
        value = _json.decode(body)
    except RecursionError:
        raise Invalid("the body is nested too deeply", errors=[_too_deep("")]) from None
    except msgspec.ValidationError:  # of `_number`, or an exponent beyond all bounds
        raise Invalid("the body holds a number that is out of range") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON in UTF-8: {error}") from None
    errors = list(_unusable(value, (), 0))
    if errors:
        raise Invalid("the body is not valid", errors=errors[:20])
    return value


def decode_body(body: bytes, into: type[S]) -> S:
    """Make the Struct that a route asks for.

    Raises:
        Malformed, Invalid: as `parse_json`, and Invalid where the Struct says no.
    """
    return decode(into, parse_json(body))


def of_nothing(route: Route[Any, Any]) -> Any:
    """Give what a request without a body stands for, as `{}` does; None where one is needed."""
    if route.body is None or route.method != "POST":
        return None
    try:
        return decode(route.body, {})
    except Invalid:
        return None


def decode_patch(body: bytes) -> dict[str, Any]:
    """Read a merge patch (RFC 7396) for something that is an object.

    Raises:
        Malformed, Invalid: as `parse_json`, and Invalid when it is no object.
    """
    patch = parse_json(body)
    if not isinstance(patch, dict):
        problem = FieldError("", "a merge patch for this is an object")
        raise Invalid(problem.detail, errors=[problem])
    return patch


def _number(text: str) -> int | float:
    """Read a number that is written with a point or an exponent; 5.0 is the integer 5.

    To JSON Schema too it is one (Validation, section 6.1.1), as long as a double holds it exactly.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueError("no double holds this number")
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


_json: Final = msgspec.json.Decoder(float_hook=_number)


def _unusable(value: Any, path: tuple[str | int, ...], depth: int) -> Iterator[FieldError]:
    """Find what is JSON but cannot be stored, with its place; the depth bounds the recursion."""
    if isinstance(value, str):
        if "\0" in value:
            yield FieldError(pointer(*path), "a string cannot hold the character NUL")
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            yield FieldError(pointer(*path), "an integer has at most 64 bits")
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            yield _too_deep(pointer(*path))
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, str) and "\0" in key:
                yield FieldError(pointer(*path), "a name cannot hold the character NUL")
            yield from _unusable(item, (*path, key), depth + 1)


def _too_deep(where: str) -> FieldError:
    return FieldError(where, f"more than {MAX_DEPTH} levels of arrays and objects")


def is_clean(text: str) -> bool:
    """Say whether a part of a path could name anything: it has no control characters."""
    return not _CONTROL.search(text)


# ── query strings and forms ───────────────────────────────────────────────────────────────────────

Read = Callable[[str], Any]


class QueryDecoder:
    """Reads a query string into one Struct.

    Numbers and booleans have one spelling each (`10`, `true`); unknown parameters, and a second
    value where there can be only one, are refused.
    """

    _what = "query"
    _takes_secrets = False

    def __init__(self, into: type[msgspec.Struct]) -> None:
        """Look at the Struct once.

        Raises:
            TypeError: it has a field that a query string cannot hold.
        """
        self._into = into
        kind = inspect.type_info(into)
        if not isinstance(kind, inspect.StructType):
            raise TypeError(f"{into!r} is not a Struct")
        self._single: dict[str, Read] = {}
        self._repeated: dict[str, Read] = {}
        for field in kind.fields:
            if isinstance(field.type, inspect.ListType | inspect.VarTupleType):
                self._repeated[field.encode_name] = _reader(field.type.item_type)
            elif self._takes_secrets and _is_secret(field.type):
                self._single[field.encode_name] = str
            else:
                self._single[field.encode_name] = _reader(field.type)

    def decode(self, raw: str) -> Any:
        """Make the Struct of what is behind the `?`, as it was sent.

        Raises:
            Malformed: it is not percent-encoded UTF-8.
            Invalid: the Struct says no.
        """
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        for name, text in parse_query(raw):
            error = self._take(values, name, text)
            if error:
                errors.append(FieldError(pointer(name), error))
        if errors:
            raise Invalid(f"the {self._what} is not valid", errors=errors[:20])
        try:
            return decode(self._into, values)
        except Invalid as error:
            raise Invalid(f"the {self._what} is not valid", errors=error.errors) from None

    def _take(self, values: dict[str, Any], name: str, text: str) -> str:
        """Add one parameter; give what is wrong with it, or ""."""
        if "\0" in text:
            return "a string cannot hold the character NUL"
        try:
            if name in self._repeated:
                values.setdefault(name, []).append(self._repeated[name](text))
            elif name not in self._single:
                return "is not a known parameter"
            elif name in values:
                return "is given more than once"
            else:
                values[name] = self._single[name](text)
        except ValueError as error:
            return str(error)
        return ""


class FormDecoder(QueryDecoder):
    """Reads what a page's form sends into one Struct, as a query string is read.

    Unlike those, which end up in logs, it may hold secrets.
    """

    _what = "form"
    _takes_secrets = True

    def decode_bytes(self, raw: bytes) -> Any:
        """Make the Struct; as `decode`."""
        try:
            return self.decode(raw.decode("ascii"))
        except UnicodeDecodeError:
            raise Malformed("a form is percent-encoded UTF-8") from None


def parse_query(raw: str) -> list[tuple[str, str]]:
    """Take a query string apart.

    Raises:
        Malformed: it is not percent-encoded UTF-8, or has too many parameters.
    """
    try:
        return parse_qsl(
            raw, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise Malformed(
            f"what was sent is not percent-encoded UTF-8 of at most {_MAX_PARAMETERS} parameters"
        ) from None


def _reader(kind: inspect.Type) -> Read:
    """Give what turns the text of one parameter into the JSON value for a type."""
    match kind:
        case inspect.Metadata():
            return _reader(kind.type)
        case inspect.UnionType():
            some = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            if len(some) == 1:
                return _reader(some[0])
        case inspect.BoolType():
            return _read_boolean
        case inspect.IntType():
            return _read_integer
        case inspect.FloatType():
            return _read_number
        case (
            inspect.StrType() | inspect.LiteralType() | inspect.EnumType()
            | inspect.DateTimeType() | inspect.DateType() | inspect.UUIDType()
        ):  # fmt: skip
            return str
    raise TypeError(f"a query parameter cannot be a {type(kind).__name__}")


def _is_secret(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.CustomType) and kind.cls is Secret


def _read_boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("is true or false")
    return text == "true"


def _read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("is a whole number")
    number = int(text)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError("an integer has at most 64 bits")
    return number


def _read_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError("is a number")
    return float(text)
