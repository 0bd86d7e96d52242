"""Lines as people post them: a JSON array, a JSON object a line, or plain text."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from plugins.http_listener.entries import Entry
from plugins.http_listener.refusals import Refused, too_many

_USER: Final = 8  # facility 1, shifted
_INFO: Final = 6
_LONGEST_PROGRAM: Final = 128
# Names of severities (RFC 5424, 6.2.1, table 2), and what else they are called.
_SEVERITIES: Final = {
    "emerg": 0, "emergency": 0, "panic": 0, "alert": 1, "crit": 2, "critical": 2, "fatal": 2,
    "err": 3, "error": 3, "warning": 4, "warn": 4, "notice": 5, "info": 6, "informational": 6,
    "debug": 7, "trace": 7,
}  # fmt: skip
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)"
)
_LATEST: Final = 1 << 62

# What msgspec raises for bytes that a stranger made: the last one for a thousand open brackets.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Priority = Annotated[int, msgspec.Meta(ge=0, le=191)]


class PostedLine(msgspec.Struct, frozen=True):
    """One line; only `message` is required, and what is not named here is passed over.

    Args:
        time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since the Unix
            epoch, which is told by their size; now by default.
        severity: a name (`err`, `warning`, …) or 0 to 7.
        priority: RFC 5424 PRI, instead of `severity`.
    """

    message: str
    time: str | int | float | None = None
    host: str = ""
    program: str = ""
    severity: str | int | None = None
    priority: Priority | None = None
    stream: Literal["app", "sys", "agent"] = "app"


_array: Final = msgspec.json.Decoder(list[PostedLine])
_single: Final = msgspec.json.Decoder(PostedLine)


def read_lines(body: bytes, content_type: str, *, now: int, most: int) -> list[Entry]:
    """Read the lines of a body.

    Args:
        content_type: without its parameters, in lower case.
        now: microseconds since the Unix epoch, for lines without a time.
        most: lines that there may be.

    Raises:
        Refused: they are not what the content type says, with the place; or there are more.
    """
    match content_type:
        case "application/json" | "application/x-ndjson" | "application/jsonl":
            posted = _decode(body, most)
        case "text/plain":
            posted = _plain(body, most)
        case _:
            raise Refused(
                415, "Content-Type is application/json, application/x-ndjson or text/plain"
            )
    if len(posted) > most:
        raise too_many(most)
    return [_entry(index, line, now) for index, line in enumerate(posted)]


def _decode(body: bytes, most: int) -> list[PostedLine]:
    try:
        if body.lstrip()[:1] == b"[":
            return _array.decode(body)
    except _UNDECODABLE as error:
        raise Refused(400, f"the body cannot be read: {error}") from None
    try:
        return [_single.decode(body)]  # one object, over however many lines
    except _UNDECODABLE:
        return _by_line(body, most)


def _by_line(body: bytes, most: int) -> list[PostedLine]:
    if body.count(b"\n") > most:
        raise too_many(most)
    found = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_single.decode(line))
        except _UNDECODABLE as error:
            raise Refused(400, f"line {number} cannot be read: {error}") from None
    return found


def _plain(body: bytes, most: int) -> list[PostedLine]:
    if body.count(b"\n") > most:  # before anything is made of them
        raise too_many(most)
    text = body.decode("utf-8", "replace")
    return [PostedLine(line.removesuffix("\r")) for line in text.split("\n") if line.strip("\r")]


def _entry(index: int, line: PostedLine, now: int) -> Entry:
    try:
        return Entry(
            line.host,
            line.stream,
            now if line.time is None else _time(line.time),
            _USER + _severity(line.severity) if line.priority is None else line.priority,
            line.program[:_LONGEST_PROGRAM] or "-",
            line.message,
        )
    except ValueError as error:
        raise Refused(400, f"line {index + 1}: {error}") from None


def _severity(said: str | int | None) -> int:
    if said is None:
        return _INFO
    if isinstance(said, str):
        found = _SEVERITIES.get(said.lower())
        if found is None:
            raise ValueError("severity is none of emerg, alert, crit, err, warning, …, or 0 to 7")
        return found
    if not 0 <= said <= 7:
        raise ValueError("severity is 0 to 7")
    return said


def _time(said: str | float) -> int:
    """Give microseconds since the Unix epoch."""
    if isinstance(said, str):
        return _from_text(said)
    # 10^11 seconds are in the year 5138, as many milliseconds in 1973.
    size = abs(said)
    if size < 1e11:
        time = int(said * 1_000_000)
    elif size < 1e14:
        time = int(said * 1_000)
    elif size < 1e17:
        time = int(said)
    else:
        time = int(said // 1_000)
    if abs(time) >= _LATEST:
        raise ValueError("time is out of range")
    return time


def _from_text(said: str) -> int:
    found = _RFC3339.fullmatch(said)
    if found is None:
        raise ValueError("time is RFC 3339, such as 2026-11-23T15:04:05Z, or a number")
    clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(clock + ("+00:00" if zone in {"Z", "z"} else zone))
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))
