"""OTLP/HTTP logs: protobuf or JSON, and their answers.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from plugins.http_listener.entries import Entry
from plugins.http_listener.refusals import Refused, too_many

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

# By SeverityNumber; the inverse of the table "syslog" in appendix B of the logs data model:
# https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/#appendix-b-severitynumber-example-mappings
_SEVERITIES: Final = (6, *[7] * 8, 6, *[5] * 3, *[4] * 4, 3, 2, 1, 1, *[0] * 4)
_USER: Final = 8  # facility 1, shifted
_LONGEST_PROGRAM: Final = 128
_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@+-,;%#~()[]{}<>|$*&^!?"
)


class Read(msgspec.Struct, frozen=True):
    """What a request holds.

    Args:
        rejected: records that hold nothing.
    """

    entries: list[Entry]
    rejected: int


def read_logs(body: bytes, content_type: str, *, now: int, most: int) -> Read:
    """Read the records of a request.

    Args:
        content_type: without its parameters, in lower case.
        now: microseconds since the Unix epoch, for records without a time.
        most: records that it may hold.

    Raises:
        Refused: it is no request, in another form, or holds more.
    """
    request = _decode(body, content_type)
    scopes = (scope for resource in request.resource_logs for scope in resource.scope_logs)
    if sum(len(scope.log_records) for scope in scopes) > most:
        raise too_many(most)
    as_json = content_type == JSON
    entries: list[Entry] = []
    rejected = 0
    for resource in request.resource_logs:
        known = {one.key: one.value for one in resource.resource.attributes}
        host = _text(known["host.name"]) if "host.name" in known else ""
        service = _text(known["service.name"]) if "service.name" in known else ""
        for scope in resource.scope_logs:
            program = (service or scope.scope.name)[:_LONGEST_PROGRAM] or "-"
            for record in scope.log_records:
                message = _message(record, as_json=as_json)
                if message:
                    entries.append(
                        Entry(host, "app", _time(record, now), _priority(record), program, message)
                    )
                else:
                    rejected += 1
    return Read(entries, rejected)


def _decode(body: bytes, content_type: str) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    try:
        if content_type == PROTOBUF:
            request.ParseFromString(body)
        elif content_type == JSON:
            json_format.Parse(body, request, ignore_unknown_fields=True)
        else:
            raise Refused(415, f"Content-Type is {PROTOBUF} or {JSON}")
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "the body is no ExportLogsServiceRequest") from None
    return request


def _time(record: LogRecord, now: int) -> int:
    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
    return nanoseconds // 1_000 if nanoseconds else now


def _priority(record: LogRecord) -> int:
    number = int(record.severity_number)
    return _USER + (_SEVERITIES[number] if 0 <= number < len(_SEVERITIES) else _SEVERITIES[0])


# ── text ──────────────────────────────────────────────────────────────────────────────────────


def _message(record: LogRecord, *, as_json: bool) -> str:
    """Give the body, and after it what else the record says, as `key=value`."""
    parts = [_text(record.body)]
    if record.event_name:
        parts.append(f"event={_quoted(record.event_name)}")
    parts += _pairs(record.attributes)
    if record.trace_id:
        parts.append(f"trace_id={_hex(record.trace_id, as_json=as_json)}")
    if record.span_id:
        parts.append(f"span_id={_hex(record.span_id, as_json=as_json)}")
    return " ".join(part for part in parts if part)


def _pairs(attributes: Iterable[KeyValue]) -> Iterator[str]:
    for one in attributes:
        yield f"{one.key}={_quoted(_text(one.value))}"


def _hex(identifier: bytes, *, as_json: bool) -> str:
    # OTLP's JSON has these in hex, where protobuf's JSON has base64: undo what that made of it.
    if as_json:
        return base64.b64encode(identifier).decode().lower()
    return binascii.hexlify(identifier).decode()


def _quoted(text: str) -> str:
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=False)


def _text(value: AnyValue) -> str:
    if value.WhichOneof("value") == "string_value":
        return value.string_value
    plain = _plain(value)
    return "" if plain is None else json.dumps(plain, ensure_ascii=False)


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


# ── answers ───────────────────────────────────────────────────────────────────────────────────


def success(read: Read, content_type: str) -> bytes:
    """Give the body of the answer to a request that was taken."""
    response = ExportLogsServiceResponse()
    if read.rejected:
        response.partial_success.rejected_log_records = read.rejected
        response.partial_success.error_message = "records without body and attributes hold nothing"
    if content_type == JSON:
        return json_format.MessageToJson(response, indent=None).encode()
    return response.SerializeToString()


def failure(refused: Refused, content_type: str) -> bytes:
    """Give the body of any other answer: a `google.rpc.Status`."""
    code = _CODES.get(refused.status, 3)
    if content_type == JSON:
        return msgspec.json.encode({"code": code, "message": refused.detail})
    text = refused.detail.encode()
    # Fields 1 (code, varint) and 2 (message) of google/rpc/status.proto; code is below 128.
    return bytes([0x08, code, 0x12]) + _varint(len(text)) + text


# google/rpc/code.proto
_CODES: Final = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
