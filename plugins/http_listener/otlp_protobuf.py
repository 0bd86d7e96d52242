"""Records out of a protobuf body, one by one: a message that holds a million empty ones is small.

So the outer messages are taken apart here (https://protobuf.dev/programming-guides/encoding/), and
the library reads one record at a time.
"""

import base64
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from plugins.http_listener.otlp_records import LARGEST, Limit, Place, Record, as_json, check_size


class _Outer(NamedTuple):
    """A message that is taken apart here, by the numbers of its fields.

    Args:
        first: what says something of all the rest; rest: what there may be many of.
    """

    first: int
    rest: int


_REQUEST: Final = _Outer(0, ExportLogsServiceRequest.RESOURCE_LOGS_FIELD_NUMBER)
_RESOURCE: Final = _Outer(ResourceLogs.RESOURCE_FIELD_NUMBER, ResourceLogs.SCOPE_LOGS_FIELD_NUMBER)
_SCOPE: Final = _Outer(ScopeLogs.SCOPE_FIELD_NUMBER, ScopeLogs.LOG_RECORDS_FIELD_NUMBER)

_VARINT: Final = 0
_LENGTH: Final = 2
_SIZES: Final = {_VARINT: 0, 1: 8, _LENGTH: 0, 5: 4}
"""Bytes of each wire type's content; groups, which proto3 has none of, are not taken."""

_LONGEST_VARINT: Final = 10
_LEAST_TAG, _LAST_TAG = 1 << 3, (1 << 32) - 1  # of the fields 1 to 2^29 - 1, and their wire type

_Span = tuple[int, int]


def records(body: bytes, limit: Limit) -> Iterator[Record | None]:
    """Give the records of an `ExportLogsServiceRequest`; None for one that is too large.

    Raises:
        DecodeError: it is none.
        Refused: it holds too many.
    """
    _, parts = _parted(body, (0, len(body)), _REQUEST, limit)
    for part in parts:
        yield from _of_resource(body, part, limit)


def _of_resource(body: bytes, span: _Span, limit: Limit) -> Iterator[Record | None]:
    first, parts = _parted(body, span, _RESOURCE, limit)
    known = {one.key: one.value for one in Resource.FromString(first).attributes}
    host = _text(known["host.name"]) if "host.name" in known else ""
    service = _text(known["service.name"]) if "service.name" in known else ""
    for part in parts:
        yield from _of_scope(body, part, host, service, limit)


def _of_scope(
    body: bytes, span: _Span, host: str, service: str, limit: Limit
) -> Iterator[Record | None]:
    first, parts = _parted(body, span, _SCOPE, limit)
    place = Place(host, service or InstrumentationScope.FromString(first).name)
    for start, stop in parts:
        is_large = stop - start > LARGEST
        yield None if is_large else _record(place, LogRecord.FromString(body[start:stop]))


def _record(place: Place, record: LogRecord) -> Record:
    return Record(
        place,
        record.time_unix_nano or record.observed_time_unix_nano,
        int(record.severity_number),
        _text(record.body),
        record.event_name,
        ((one.key, _text(one.value)) for one in record.attributes),
        record.trace_id.hex(),
        record.span_id.hex(),
    )


def _text(value: AnyValue) -> str:
    if value.WhichOneof("value") == "string_value":
        return value.string_value
    plain = _plain(value)
    return "" if plain is None else as_json(plain)


def _plain(value: AnyValue) -> Any:
    """Give a value as JSON has it; bytes in base64."""
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case None:
            return None
        case kind:
            return getattr(value, kind)


# ── the wire format ───────────────────────────────────────────────────────────────────────────


def _parted(body: bytes, span: _Span, outer: _Outer, limit: Limit) -> tuple[bytes, Iterable[_Span]]:
    """Take a message apart: give the content of the first, and where the rest are."""
    merged = bytearray()  # what comes several times, and may once, is to be merged
    found = array("Q")  # as there may be very many of them
    for number, start, stop in _fields(body, span):
        if number == outer.rest and outer is _SCOPE:
            limit.record()
        else:
            limit.other()
        if number == outer.rest:
            found.extend((start, stop))
        elif number == outer.first:
            check_size(len(merged) + stop - start)
            merged += body[start:stop]
    return bytes(merged), zip(found[::2], found[1::2], strict=True)


def _fields(body: bytes, span: _Span) -> Iterator[tuple[int, int, int]]:
    """Give the number of each field of a message, and where its content begins and ends.

    Raises:
        DecodeError: the message ends within a field, or has what the format does not know.
    """
    at, end = span
    while at < end:
        tag, at = _varint(body, at)
        size = _SIZES.get(tag & 7)
        if tag & 7 == _LENGTH:
            size, at = _varint(body, at)
        elif tag & 7 == _VARINT:
            _, at = _varint(body, at)
        if size is None or not _LEAST_TAG <= tag <= _LAST_TAG:
            raise DecodeError("there is no such field")
        if at + size > end:
            raise DecodeError("a field ends behind its message")
        yield tag >> 3, at, at + size
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Read a number, of seven bits a byte, the lowest first; give it, and where it ends."""
    number = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        if at == len(body):
            break
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise DecodeError("a number does not end")
