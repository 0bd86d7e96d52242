"""What a line looks like in Elasticsearch: an action and a document in ECS names."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from hub import SEVERITIES, Chunk, rfc3339_column

_encode: Final = msgspec.json.Encoder().encode
_LAST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


class Code(msgspec.Struct, frozen=True, gc=False):
    """A syslog facility or severity."""

    code: int
    name: str | msgspec.UnsetType = msgspec.UNSET


class Syslog(msgspec.Struct, frozen=True, gc=False):
    """`log.syslog`."""

    priority: int
    facility: Code
    severity: Code
    appname: str


class Log(msgspec.Struct, frozen=True, gc=False):
    """`log`."""

    level: str
    syslog: Syslog


class Host(msgspec.Struct, frozen=True, gc=False):
    """`host`: name is the device's label, id the device."""

    name: str
    id: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """`event`: `dataset` is the stream; `id` the line's, stable over every retry."""

    id: str
    dataset: str


class Document(msgspec.Struct, frozen=True, gc=False):
    """One line (Elastic Common Schema 8: base, event, host, log, labels).

    What many lines share is encoded once.
    """

    timestamp: str = msgspec.field(name="@timestamp")
    message: str
    host: msgspec.Raw
    log: msgspec.Raw
    event: Event
    labels: msgspec.Raw


class Writer:
    """Encodes chunks for the bulk API.

    Args:
        index: its name, with `%Y`, `%m`, `%d`, `%H` for parts of a line's time.
    """

    def __init__(self, index: str) -> None:
        self._index = index
        self._logs: dict[tuple[int, str], msgspec.Raw] = {}

    def items(self, chunk: Chunk) -> list[bytes]:
        """Give each line of a chunk: its action and its document, each with its line feed."""
        lines = chunk.lines
        host = msgspec.Raw(_encode(Host(chunk.host, chunk.device)))
        dataset = f"isaax.{chunk.stream}"
        labels = msgspec.Raw(_encode(dict(chunk.labels) | {"project": chunk.project}))
        columns = zip(
            self._heads(lines.times),
            chunk.ids(),
            rfc3339_column(lines.times),
            lines.messages,
            self._log_column(lines.priority_column(), lines.program_column()),
            strict=True,
        )
        return [
            b'%b%b"}}\n%b\n'
            % (
                head,
                identifier.encode(),
                _encode(Document(stamp, message, host, log, Event(identifier, dataset), labels)),
            )
            for head, identifier, stamp, message, log in columns
        ]

    def _heads(self, times: Sequence[int]) -> list[bytes]:
        """Give the beginning of each line's action, up to its id (which needs no escape)."""
        if "%" not in self._index:
            return [_head(self._index)] * len(times)
        heads: list[bytes] = []
        known, head = -1, b""
        for moment in times:
            hour = min(max(moment // 1_000_000, 0), _LAST) // 3600
            if hour != known:
                known = hour
                head = _head(datetime.fromtimestamp(hour * 3600, UTC).strftime(self._index))
            heads.append(head)
        return heads

    def _log_column(self, priorities: Sequence[int], programs: Sequence[str]) -> list[msgspec.Raw]:
        """Give `log` of each line, encoded: a device has few programs and severities."""
        if len(self._logs) > 1_000:
            self._logs.clear()
        known = self._logs
        for pair in set(zip(priorities, programs, strict=True)) - known.keys():
            known[pair] = msgspec.Raw(_encode(_log(*pair)))
        return [known[pair] for pair in zip(priorities, programs, strict=True)]


def _head(index: str) -> bytes:
    return b'{"create":{"_index":%b,"_id":"' % _encode(index)


def _log(priority: int, program: str) -> Log:
    severity = SEVERITIES[priority & 7]
    syslog = Syslog(priority, Code(priority >> 3), Code(priority & 7, severity), program)
    return Log(severity, syslog)
