"""Records out of a JSON body, in OTLP's own form of protobuf's JSON.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: 64-bit numbers may be strings,
enums are numbers, ids are in hex, fields that are not known are passed over.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from plugins.http_listener.otlp_records import Limit, Place, Record, as_json
from plugins.http_listener.refusals import Refused

_BYTES_PER_OBJECT: Final = 12  # `{"intValue":1},` has 15
_ALWAYS: Final = 65_536  # objects that a body may have, however small it is
# A string, or the beginning of an object. It always matches: else each quote would be tried again.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|\{', re.DOTALL)

_Number = int | str | None
_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F]*\Z")]


class _Struct(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What is null is as if it were not there."""


class _Array(_Struct, frozen=True):
    values: "list[_Value] | None" = None


class _Pairs(_Struct, frozen=True):
    values: "list[_Pair] | None" = None


class _Value(_Struct, frozen=True):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Number = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Pair(_Struct, frozen=True):
    key: str | None = None
    value: _Value | None = None


class _Record(_Struct, frozen=True):
    time_unix_nano: _Number = None
    observed_time_unix_nano: _Number = None
    severity_number: _Number = None
    body: _Value | None = None
    event_name: str | None = None
    attributes: list[_Pair] | None = None
    trace_id: _Hex | None = None
    span_id: _Hex | None = None


class _Named(_Struct, frozen=True):
    name: str | None = None


class _ScopeLogs(_Struct, frozen=True):
    scope: _Named | None = None
    log_records: list[_Record] | None = None


class _Resource(_Struct, frozen=True):
    attributes: list[_Pair] | None = None


class _ResourceLogs(_Struct, frozen=True):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Request(_Struct, frozen=True):
    resource_logs: list[_ResourceLogs] | None = None


_decoder: Final = msgspec.json.Decoder(_Request)


def records(body: bytes, limit: Limit) -> Iterator[Record]:
    """Give the records of an `ExportLogsServiceRequest`.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is none.
        Refused: it holds too many.
    """
    _check_objects(body)
    for resource_logs in _decoder.decode(body).resource_logs or ():
        limit.other()
        resource = resource_logs.resource or _Resource()
        known = {one.key: one.value for one in resource.attributes or ()}
        host, service = _text(known.get("host.name")), _text(known.get("service.name"))
        for scope_logs in resource_logs.scope_logs or ():
            limit.other()
            scope = scope_logs.scope or _Named()
            place = Place(host, service or scope.name or "")
            for record in scope_logs.log_records or ():
                limit.record()
                yield _read(place, record)


def _read(place: Place, record: _Record) -> Record:
    return Record(
        place,
        _time(record.time_unix_nano) or _time(record.observed_time_unix_nano),
        _severity(record.severity_number),
        _text(record.body),
        record.event_name or "",
        ((one.key or "", _text(one.value)) for one in record.attributes or ()),
        (record.trace_id or "").lower(),
        (record.span_id or "").lower(),
    )


def _check_objects(body: bytes) -> None:
    """See that a body holds no more objects than it may: each takes a hundred bytes, empty or not.

    Raises:
        Refused: it holds more.
    """
    most = len(body) // _BYTES_PER_OBJECT + _ALWAYS
    if body.count(b"{") <= most:
        return
    found = 0
    for token in _TOKEN.finditer(body):  # texts may have as many braces as they like
        found += body[token.start()] == ord("{")
        if found > most:
            raise Refused(413, f"a body of {len(body)} bytes has at most {most} objects")


# ── values ────────────────────────────────────────────────────────────────────────────────────


def _time(said: _Number) -> int:
    return _integer(said or 0, range(2**64))


def _severity(said: _Number) -> int:
    if isinstance(said, str):  # as protobuf's JSON has it, and OTLP's has not
        try:
            return SeverityNumber.Value(said)
        except ValueError:
            raise msgspec.ValidationError("no such severity") from None
    return said or 0


def _text(value: _Value | None) -> str:
    if value is not None and value.string_value is not None:
        return value.string_value
    plain = _plain(value)
    return "" if plain is None else as_json(plain)


def _plain(value: _Value | None) -> Any:
    """Give a value as plain JSON has it; bytes stay in base64."""
    match value:
        case (
            _Value(string_value=str(plain))
            | _Value(bytes_value=str(plain))
            | _Value(bool_value=bool(plain))
        ):
            return plain
        case _Value(int_value=int(number) | str(number)):
            return _integer(number, range(-(2**63), 2**63))
        case _Value(double_value=float(number) | str(number)):
            return _float(number)
        case _Value(array_value=_Array(values)):
            return [_plain(one) for one in values or ()]
        case _Value(kvlist_value=_Pairs(values)):
            return {one.key or "": _plain(one.value) for one in values or ()}
        case _:
            return None


def _integer(said: int | str, allowed: range) -> int:
    try:
        number = int(said)
    except ValueError:
        raise msgspec.ValidationError("no number") from None
    if number not in allowed:
        raise msgspec.ValidationError("a number out of range")
    return number


def _float(said: float | str) -> float:
    try:
        return float(said)  # "NaN" and "Infinity" too
    except ValueError:
        raise msgspec.ValidationError("no number") from None
