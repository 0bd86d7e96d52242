"""The one writer of the relay's streams: it counts lines, notes marks, and says what is synced.

Logs and metrics have streams, queues and commits of their own, so that neither waits for the other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from nats.aio.client import Client

from hub.protocol import Header, Mark
from hub.relay.counts import CountKey, LineCounts
from hub.relay.marks import MarkKey, MarkTable
from hub.relay.meters import IntakeMeters
from hub.relay.publisher import Outgoing, Publisher, patience
from hub.relay.retry import Backoff
from hub.relay.stored import HOST, LINE, RECEIVED, BatchId
from hub.relay.streams import (
    KINDS,
    batch_subject,
    kind_of,
    metric_subject,
    shard_of,
    stream_name,
    void_subject,
)
from hub.relay.usage import Usage

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Entry(Generic[C]):
    """One batch on its way into its stream.

    Args:
        header: what it covers.
        payload: in the binary form; b"" only keeps the place of a batch that is a dead letter.
        stored: called once a commit is synced, with all entries of it that name the same function.
        context: the submitter's own.
        host: name to show for a source that is no device.
        prepare: awaited before the batch is stored.
    """

    key: MarkKey
    header: Header
    payload: bytes
    stored: "Callable[[Sequence[Entry[C]]], None]"
    context: C
    host: str = ""
    prepare: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class _Numbered:
    """An entry, with the count of its project's lines once it is stored."""

    entry: Entry[Any]
    count: CountKey
    lines: int
    total: int


class Writer:
    """Stores batches; there is one in a hub.

    Args:
        places: by name of the stream, the sequence that marks and counts have come to.
        clock: microseconds since the Unix epoch.
        backoff: makes the waits between attempts to store the same messages.
    """

    def __init__(
        self,
        nats: Client,
        *,
        shards: int,
        places: Mapping[str, int],
        marks: MarkTable,
        counts: LineCounts,
        usage: Usage,
        meters: IntakeMeters,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
        backoff: Callable[[], Backoff] = patience,
    ) -> None:
        self._shards: Final = shards
        self._marks = marks
        self._counts = counts
        self._usage = usage
        self._meters = meters
        self._clock = clock
        self.publishers: Final[Mapping[str, Publisher[_Numbered]]] = {
            name: Publisher(
                nats,
                self._stored,
                observe=meters.publish.observe,
                sequence=places.get(name, 0),
                backoff=backoff,
            )
            for kind in KINDS
            for name in (stream_name(kind, shard) for shard in range(shards))
        }

    async def run(self) -> None:
        """Store what is submitted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for publisher in self.publishers.values():
                group.create_task(publisher.run())

    async def drain(self) -> None:
        """Wait until all that was submitted is stored."""
        for publisher in self.publishers.values():
            await publisher.drain()

    def stuck(self) -> str:
        """Name the stream that has stored nothing for a while though it should, and why; or ""."""
        found = ((name, publisher.stuck) for name, publisher in self.publishers.items())
        return next((f"{name} stores nothing: {why}" for name, why in found if why), "")

    def places(self) -> dict[str, int]:
        """Give how far each stream is known: all up to there is in the marks and the counts."""
        return {name: publisher.sequence for name, publisher in self.publishers.items()}

    def submit(self, entry: Entry[Any]) -> None:
        """Queue a batch; the batches of a project are stored in the order of their submission."""
        key, header = entry.key, entry.header
        kind = kind_of(key.stream)
        shard = shard_of(key.project, self._shards)
        identity = BatchId(key.device, key.stream, header.boot, header.first, header.span)
        count = CountKey(kind, key.project)
        lines = identity.lines if entry.payload else 0
        before = self._counts.give(count, lines)
        headers = {RECEIVED: str(self._clock()), LINE: str(before)}
        if entry.host:
            headers[HOST] = entry.host
        self.publishers[stream_name(kind, shard)].submit(
            Outgoing(
                subject=_subject(entry, shard),
                payload=entry.payload,
                id=str(identity),
                order=key.project,
                headers=headers,
                context=_Numbered(entry, count, lines, before + lines),
                prepare=entry.prepare,
            )
        )

    def _stored(self, group: Sequence[Outgoing[_Numbered]]) -> None:
        """Take note of a commit that JetStream has synced, and tell those who submitted it."""
        told: dict[Callable[[Sequence[Entry[Any]]], None], list[Entry[Any]]] = {}
        meters = self._meters
        for outgoing in group:
            numbered = outgoing.context
            entry, header, size = numbered.entry, numbered.entry.header, len(outgoing.payload)
            self._marks.stored(entry.key, Mark(header.boot, header.last))
            self._counts.stored(numbered.count, numbered.total)
            if size:
                self._usage.note(numbered.count, numbered.lines, size)
                meters.taken(numbered.count.kind, numbered.lines, size)
            told.setdefault(entry.stored, []).append(entry)
        meters.batches.inc(len(group))
        for stored, entries in told.items():
            stored(entries)


def _subject(entry: Entry[Any], shard: int) -> str:
    key = entry.key
    if not entry.payload:
        return void_subject(shard, key.project, key.stream)
    if kind_of(key.stream) == "metric":
        return metric_subject(shard, key.project, key.stream, key.device)
    return batch_subject(shard, key.project, key.stream)
