"""Batches as lines of text, one for each log line, whatever its message holds."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from hub import Batch, Line, SyslogFormatter, SyslogStyle, rfc3339

Encode = Callable[[Batch], bytes]

_LONGEST: Final = 16 * 1024 * 1024  # bytes of a line; more than any that the hub takes
_ESCAPES: Final = str.maketrans({"\n": "#012", "\r": "#015", "\0": "#000"})  # as rsyslog's
_encode: Final = msgspec.json.Encoder().encode


class FileLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line in the JSON form; `id` is the same whenever the line is written again."""

    id: str
    time: str
    device: str
    host: str
    stream: str
    facility: int
    severity: int
    program: str
    message: str
    labels: Mapping[str, str] = {}


def encoder(style: Literal["json", "rfc5424", "text"]) -> Encode:
    """Give what makes lines of a batch; each ends with a line feed and holds no other."""
    match style:
        case "json":
            return _json
        case "rfc5424":
            formatter = SyslogFormatter(SyslogStyle(max_message=_LONGEST, include_id=True))
            return lambda batch: b"".join(formatter.stream(batch))
        case "text":
            return _text


def _json(batch: Batch) -> bytes:
    return b"\n".join([*(_encode(_file_line(line)) for line in batch), b""])


def _file_line(line: Line) -> FileLine:
    return FileLine(
        id=line.id,
        time=rfc3339(line.time),
        device=line.device,
        host=line.host,
        stream=line.stream,
        facility=line.priority >> 3,
        severity=line.priority & 7,
        program=line.program,
        message=line.message,
        labels=dict(line.labels),
    )


def _text(batch: Batch) -> bytes:
    rows = [text.translate(_ESCAPES) for chunk in batch.chunks for text in chunk.lines.messages]
    return "\n".join([*rows, ""]).encode("utf-8", "replace")
