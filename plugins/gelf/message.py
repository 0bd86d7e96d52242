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
    short, full = _texts(line.message)
    message: dict[str, Any] = {f"_{_field(name)}": value for name, value in line.labels.items()}
    message |= {
        "version": "1.1",
        "host": line.host or line.device,
        "short_message": short,
        "timestamp": line.time / 1_000_000,
        "level": line.priority & 7,
        "_line_id": line.id,
        "_project": project,
        "_device": line.device,
        "_stream": line.stream,
        "_program": line.program,
        "_facility": line.priority >> 3,
    }
    if full:
        message["full_message"] = full
    return message


def _texts(text: str) -> tuple[str, str]:
    """Give the short message, and the full one where that is more than a line."""
    bare = text.strip()
    if "\n" in bare:
        return bare.partition("\n")[0].rstrip(), text
    return text if bare else "-", ""  # Graylog throws away what has a blank short message


def _field(name: str) -> str:
    """Make a label's name a field's; `_id` is reserved and would be thrown away."""
    clean = _BAD_IN_NAME.sub("_", name)
    return "label_id" if clean == "id" else clean
