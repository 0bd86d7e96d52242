"""What a line looks like in Elasticsearch: an action and a document in ECS names."""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from hub import (
    SEVERITIES,
    Chunk,
    Column,
    id_columns,
    join_rows,
    json_column,
    rfc3339_column,
    source_column,
)

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


class Writer:
    """Encodes chunks for the bulk API, as documents of the Elastic Common Schema 8.

    Args:
        index: its name, with `%Y`, `%m`, `%d`, `%H` for parts of a line's time.
    """

    def __init__(self, index: str) -> None:
        self._index = index
        self._log = functools.lru_cache(maxsize=1_024)(_log)

    def items(self, chunk: Chunk) -> list[bytes]:
        """Give each line of a chunk: its action and its document, each with its line feed.

        `event.dataset` is the stream, `event.id` the line's own.
        """
        lines = chunk.lines
        ids = id_columns(chunk)
        host = _encode(Host(chunk.host, chunk.device))
        labels = _encode(dict(chunk.labels) | {"project": chunk.project})
        return join_rows(
            [
                self._heads(lines.times), *ids,
                b'"}}\n{"@timestamp":', json_column(rfc3339_column(lines.times)),
                b',"message":', json_column(lines.messages),
                b',"host":%b,"log":' % host, source_column(lines, self._log),
                b',"event":{"id":"', *ids,
                b'","dataset":%b},"labels":%b}\n' % (_encode(f"isaax.{chunk.stream}"), labels),
            ],
            len(chunk),
        )  # fmt: skip

    def _heads(self, times: Sequence[int]) -> Column:
        """Give the beginning of each line's action, up to its id."""
        if "%" not in self._index:
            return _head(self._index)
        heads: list[bytes] = []
        known, head = -1, b""
        for moment in times:
            hour = min(max(moment // 1_000_000, 0), _LAST) // 3600
            if hour != known:
                known = hour
                head = _head(datetime.fromtimestamp(hour * 3600, UTC).strftime(self._index))
            heads.append(head)
        return heads


def _head(index: str) -> bytes:
    return b'{"create":{"_index":%b,"_id":"' % _encode(index)


def _log(priority: int, program: str) -> bytes:
    severity = SEVERITIES[priority & 7]
    syslog = Syslog(priority, Code(priority >> 3), Code(priority & 7, severity), program)
    return _encode(Log(severity, syslog))
