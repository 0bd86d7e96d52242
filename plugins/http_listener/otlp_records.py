"""What a log record of OTLP becomes: one line, whichever form the record came in."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from plugins.http_listener.entries import Entry
from plugins.http_listener.refusals import Refused, too_many

LARGEST: Final = 1024 * 1024
"""Bytes of a record, a resource or a scope: what it takes in memory may be thirty times as much."""

# By SeverityNumber; the inverse of the table "syslog" in appendix B of the logs data model:
# https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/#appendix-b-severitynumber-example-mappings
_SEVERITIES: Final = (6, *[7] * 8, 6, *[5] * 3, *[4] * 4, 3, 2, 1, 1, *[0] * 4)
_USER: Final = 8  # facility 1, shifted
_OTHERS: Final = 8  # for each record
_LONGEST_PROGRAM: Final = 128
_LONGEST_TEXT: Final = 64 * 1024  # characters; what is longer is cut where it is stored
_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@+-,;%#~()[]{}<>|$*&^!?"
)


class Place(msgspec.Struct, frozen=True):
    """Where records come from; each is "" when it is not said."""

    host: str = ""
    program: str = ""


class Record(msgspec.Struct, frozen=True):
    """A record.

    Args:
        time: nanoseconds since the Unix epoch; 0 when it is not said.
        attributes: names and texts; read once.
        trace_id, span_id: in hex.
    """

    place: Place
    time: int
    severity_number: int
    body: str
    event_name: str
    attributes: Iterable[tuple[str, str]]
    trace_id: str
    span_id: str

    def entry(self, now: int) -> Entry | None:
        """Give the line; None when it holds nothing.

        Args:
            now: microseconds since the Unix epoch, for a record without a time.
        """
        message = " ".join(self._parts())
        if not message:
            return None
        time = self.time // 1_000 if self.time else now
        number = self.severity_number
        severity = _SEVERITIES[number if 0 <= number < len(_SEVERITIES) else 0]
        program = self.place.program[:_LONGEST_PROGRAM] or "-"
        return Entry(self.place.host, "app", time, _USER + severity, program, message)

    def _parts(self) -> Iterator[str]:
        """Give the body, and after it what else the record says, as `key=value`."""
        size = 0
        for part in itertools.chain([self.body], self._pairs()):
            if part:
                yield part
                size += len(part)
            if size > _LONGEST_TEXT:
                return

    def _pairs(self) -> Iterator[str]:
        if self.event_name:
            yield f"event={quoted(self.event_name)}"
        for key, text in self.attributes:
            yield f"{key}={quoted(text)}"
        if self.trace_id:
            yield f"trace_id={self.trace_id}"
        if self.span_id:
            yield f"span_id={self.span_id}"


class Limit:
    """Counts what a request holds.

    Args:
        most: records that it may hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._records = 0
        self._others = 0

    def record(self) -> None:
        """Count a record.

        Raises:
            Refused: there are too many.
        """
        self._records += 1
        if self._records > self._most:
            raise too_many(self._most)

    def other(self) -> None:
        """Count a resource, a scope, or a part of them; each record may have its own.

        Raises:
            Refused: there are too many.
        """
        self._others += 1
        if self._others > _OTHERS * self._most:
            raise Refused(413, f"a request has at most {_OTHERS * self._most} resources and scopes")


def check_size(size: int) -> None:
    """See that a resource or a scope is not too large.

    Raises:
        Refused: it is.
    """
    if size > LARGEST:
        raise Refused(413, f"a resource or a scope has at most {LARGEST} bytes")


def quoted(text: str) -> str:
    """Give a text as a value is shown."""
    return text if text and _PLAIN.issuperset(text) else as_json(text)


def as_json(value: Any) -> str:
    """Give a value as text."""
    return json.dumps(value, ensure_ascii=False)
