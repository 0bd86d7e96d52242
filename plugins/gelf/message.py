"""Lines as GELF messages, version 1.1.

https://go2docs.graylog.org/current/getting_in_log_data/gelf_format.html
"""

import re
from typing import Any, Final

import msgspec

from hub import Batch, Line

_BAD_IN_NAME: Final = re.compile(r"[^\w.-]", re.ASCII)  # a field's name matches ^[\w\.\-]*$
_encode: Final = msgspec.json.Encoder().encode


def messages(batch: Batch) -> list[bytes]:
    """Give each line of a batch as JSON, without a line feed or a NUL in it."""
    project = batch.chunks[0].project if batch.chunks else ""
    return [_encode(_message(line, project)) for line in batch]


def _message(line: Line, project: str) -> dict[str, Any]:
    # A message whose short_message is blank is thrown away by Graylog.
    short = line.message.strip().partition("\n")[0].strip("\r\0 ") or "-"
    message: dict[str, Any] = {f"_{_field(name)}": value for name, value in line.labels.items()}
    message |= {
        "version": "1.1",
        "host": line.host or line.device,
        "short_message": short if "\n" in line.message.strip() else line.message or short,
        "timestamp": line.time / 1_000_000,
        "level": line.priority & 7,
        "_line_id": line.id,
        "_project": project,
        "_device": line.device,
        "_stream": line.stream,
        "_program": line.program,
        "_facility": line.priority >> 3,
    }
    if "\n" in line.message.strip():
        message["full_message"] = line.message
    return message


def _field(name: str) -> str:
    """Make a label's name a field's; `_id` is reserved and would be thrown away."""
    clean = _BAD_IN_NAME.sub("_", name)
    return "label_id" if clean == "id" else clean
