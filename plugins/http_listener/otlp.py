"""OTLP/HTTP logs: protobuf or JSON, and their answers.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from typing import Final

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

from plugins.http_listener import otlp_json, otlp_protobuf
from plugins.http_listener.entries import Entry
from plugins.http_listener.otlp_records import LARGEST, Limit
from plugins.http_listener.refusals import Refused

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_FORMS: Final = {PROTOBUF: otlp_protobuf.records, JSON: otlp_json.records}
_UNDECODABLE: Final = (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Read(msgspec.Struct, frozen=True):
    """What a request holds.

    Args:
        empty: records that hold nothing; large: that are too large.
    """

    entries: list[Entry]
    empty: int
    large: int


def read_logs(body: bytes, content_type: str, *, now: int, most: int) -> Read:
    """Read the records of a request.

    Args:
        content_type: without its parameters, in lower case.
        now: microseconds since the Unix epoch, for records without a time.
        most: records that it may hold.

    Raises:
        Refused: it is no request, in another form, or holds more.
    """
    if content_type not in _FORMS:
        raise Refused(415, f"Content-Type is {PROTOBUF} or {JSON}")
    entries: list[Entry] = []
    empty = large = 0
    try:
        for record in _FORMS[content_type](body, Limit(most)):
            entry = record.entry(now) if record is not None else None
            if entry is not None:
                entries.append(entry)
            elif record is None:
                large += 1
            else:
                empty += 1
    except _UNDECODABLE:
        raise Refused(400, "the body is no ExportLogsServiceRequest") from None
    return Read(entries, empty, large)


# ── answers ───────────────────────────────────────────────────────────────────────────────────


def success(read: Read, content_type: str) -> bytes:
    """Give the body of the answer to a request that was taken."""
    response = ExportLogsServiceResponse()
    reasons = []
    if read.empty:
        reasons.append("records without body and attributes hold nothing")
    if read.large:
        reasons.append(f"a record has at most {LARGEST} bytes")
    if reasons:
        response.partial_success.rejected_log_records = read.empty + read.large
        response.partial_success.error_message = "; ".join(reasons)
    if content_type == JSON:
        return json_format.MessageToJson(response, indent=None).encode()
    return response.SerializeToString()


def failure(refused: Refused, content_type: str) -> bytes:
    """Give the body of any other answer: a `google.rpc.Status`."""
    code = _CODES.get(refused.status, 3)
    if content_type == JSON:
        return msgspec.json.encode({"code": code, "message": refused.detail})
    # It has its code and its message where this one has a count and a message.
    status = ExportLogsPartialSuccess(rejected_log_records=code, error_message=refused.detail)
    return status.SerializeToString()


# google/rpc/code.proto
_CODES: Final = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
