"""Lines as log events, cut as PutLogEvents takes them.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hub import SEVERITIES, Batch, Chunk, Piece
from plugins.cloudwatch.config import CloudWatchConfig

MAX_BYTES: Final = 1_048_576
"""Of a request: the messages in UTF-8 and `OVERHEAD` for each."""

OVERHEAD: Final = 26
MAX_EVENT_BYTES: Final = MAX_BYTES - OVERHEAD
"""Of one event: "no larger than 1 MB" since 2025 (256 KB before), and it has to fit a request."""

MAX_EVENTS: Final = 10_000
MAX_SPAN: Final = 24 * 3600 * 1000
"""Milliseconds between the first and the last event of a request."""

_LAST: Final = 2**63 - 1  # Timestamp is a long
_encode: Final = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True):
    """An event, as it is sent."""

    timestamp: int
    message: str


@dataclass(frozen=True, slots=True)
class Request(Piece):
    """The events of one request, as JSON, sorted by time."""

    group: str
    stream: str


Refused = list[tuple[int, str]]


def requests(batch: Batch, config: CloudWatchConfig) -> tuple[list[list[Request]], Refused]:
    """Cut a batch into requests, by log stream; also give the lines that are too long."""
    places: dict[tuple[str, str], list[tuple[int, Event]]] = {}
    refused: Refused = []
    start = 0
    for chunk in batch.chunks:
        place = places.setdefault(config.place(chunk), [])
        for index, event in enumerate(_events(chunk, text=config.format == "text"), start):
            size = len(event.message.encode())
            if size > MAX_EVENT_BYTES:
                words = f"the event takes {size} bytes; {MAX_EVENT_BYTES} is the most"
                refused.append((index, words))
            else:
                place.append((index, event))
        start += len(chunk)
    found = [
        [
            Request([at for at, _ in part], [_encode(event) for _, event in part], group, stream)
            for part in _cut(sorted(events, key=lambda item: item[1].timestamp))
        ]
        for (group, stream), events in places.items()
    ]
    return found, refused


def _cut(events: list[tuple[int, Event]]) -> Iterator[list[tuple[int, Event]]]:
    taken: list[tuple[int, Event]] = []
    size = 0
    for item in events:
        cost = len(item[1].message.encode()) + OVERHEAD
        if taken and (
            len(taken) == MAX_EVENTS
            or size + cost > MAX_BYTES
            or item[1].timestamp - taken[0][1].timestamp > MAX_SPAN
        ):
            yield taken
            taken, size = [], 0
        taken.append(item)
        size += cost
    if taken:
        yield taken


def _events(chunk: Chunk, *, text: bool) -> Iterator[Event]:
    lines = chunk.lines
    if text:
        for time, message in zip(lines.times, lines.messages, strict=True):
            yield Event(_milliseconds(time), message or " ")  # at least one character
        return
    shared: Mapping[str, Any] = {
        "device": chunk.device,
        "host": chunk.host,
        "stream": chunk.stream,
        **({"labels": dict(chunk.labels)} if chunk.labels else {}),
    }
    rows = zip(
        chunk.ids(),
        lines.times,
        lines.priority_column(),
        lines.program_column(),
        lines.messages,
        strict=True,
    )
    for identifier, time, priority, program, message in rows:
        document = {
            "id": identifier,
            **shared,
            "severity": SEVERITIES[priority & 7],
            "facility": priority >> 3,
            "program": program,
            "message": message,
        }
        yield Event(_milliseconds(time), _encode(document).decode())


def _milliseconds(microseconds: int) -> int:
    return min(max(microseconds // 1000, 0), _LAST)
