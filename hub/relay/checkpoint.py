"""Marks and counts that outlive the process: a checkpoint in Postgres, and headers after it.

JetStream's dedup ids last an hour; a device may be away for weeks. The stream itself says what is
durable, and the checkpoint spares us from reading all of it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog
from nats.aio.client import Client

from hub.database import Connection, Database, Queries
from hub.errors import IsaaxError
from hub.protocol import Mark
from hub.relay.counts import CountKey, LineCounts
from hub.relay.marks import MarkKey, MarkTable
from hub.relay.reader import ordered
from hub.relay.stored import LINE, MSG_ID, BatchId
from hub.relay.streams import KINDS, Kind, is_void, project_of, stream_filter, stream_name

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.relay")

_INTERVAL: Final = 2.0  # seconds between checkpoints


class _MarkRow(msgspec.Struct, frozen=True):
    project: str
    device: str
    stream: str
    boot: int
    seq: int


class _CountRow(msgspec.Struct, frozen=True):
    kind: Kind
    project: str
    lines: int


class _CheckpointRow(msgspec.Struct, frozen=True):
    shard: str
    sequence: int


async def restore(
    nats: Client, database: Database, marks: MarkTable, counts: LineCounts, shards: int
) -> dict[str, int]:
    """Fill the tables with what is durable; give the sequence that each stream has come to.

    Raises:
        Unavailable: Postgres does not answer.
        nats.errors.Error: JetStream does not answer.
    """
    async with database.system() as tx:
        rows = await tx.all(_SQL["marks"], _MarkRow)
        counted = await tx.all(_SQL["counts"], _CountRow)
        places = {
            row.shard: row.sequence for row in await tx.all(_SQL["checkpoints"], _CheckpointRow)
        }
    for row in rows:
        marks.stored(MarkKey(row.project, row.device, row.stream), Mark(row.boot, row.seq))
    for one in counted:
        counts.stored(CountKey(one.kind, one.project), one.lines)
    marks.take_changed()  # these are written down
    counts.take_changed()
    reading = _Reading(nats, marks, counts)
    return {
        name: await reading.read_on(kind, shard, places.get(name, 0))
        for kind in KINDS
        for shard in range(shards)
        for name in (stream_name(kind, shard),)
    }


class _Reading:
    """Reads the headers of what was stored after the checkpoint."""

    def __init__(self, nats: Client, marks: MarkTable, counts: LineCounts) -> None:
        self._nats = nats
        self._marks = marks
        self._counts = counts

    async def read_on(self, kind: Kind, shard: int, place: int) -> int:
        """Read what a shard's stream holds after `place`; give its last sequence."""
        stream = stream_name(kind, shard)
        last = (await self._nats.jetstream().stream_info(stream)).state.last_seq
        if place > last:
            _log.error("the stream is behind the checkpoint: was its data lost?", stream=stream)
            place = 0
        if place == last:
            return last
        async with ordered(
            self._nats, stream, stream_filter(kind, shard), start=place + 1, headers_only=True
        ) as reader:
            async for message in reader.stored():
                last = max(last, message.sequence)
                try:
                    self._take(kind, message.subject, message.headers)
                except ValueError:
                    _log.warning(
                        "a stored message's headers cannot be read", sequence=message.sequence
                    )
        return last

    def _take(self, kind: Kind, subject: str, headers: Mapping[str, str]) -> None:
        identity = BatchId.parse(headers.get(MSG_ID, ""))
        key = MarkKey(project_of(subject), identity.device, identity.stream)
        self._marks.stored(key, Mark(identity.boot, identity.last))
        count = CountKey(kind, key.project)
        # What was stored before there were counts has no header: it follows what came before.
        before = int(headers.get(LINE, self._counts.durable(count)))
        lines = 0 if is_void(subject) else identity.lines
        self._counts.stored(count, before + lines)


class Checkpoints:
    """Writes marks and counts down every few seconds.

    Args:
        places: gives, by name of the stream, the sequence up to which all is in the tables.
    """

    def __init__(
        self,
        database: Database,
        marks: MarkTable,
        counts: LineCounts,
        places: Callable[[], Mapping[str, int]],
    ) -> None:
        self._database = database
        self._marks = marks
        self._counts = counts
        self._places = places
        self._written: dict[str, int] = {}

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Write what has changed, in one transaction; what fails is kept for the next time."""
        places = {
            name: at for name, at in self._places().items() if at > self._written.get(name, 0)
        }
        marks, counts = self._marks.take_changed(), self._counts.take_changed()
        if not places and not marks and not counts:
            return
        try:
            async with self._database.system() as tx:
                await _put(tx, marks, counts, places)
        except IsaaxError as error:
            self._put_back(marks, counts)
            _log.warning("no checkpoint", error=str(error))
        except BaseException:
            self._put_back(marks, counts)
            raise
        else:
            self._written |= places

    def _put_back(self, marks: Mapping[MarkKey, Mark], counts: Mapping[CountKey, int]) -> None:
        self._marks.put_back(marks)
        self._counts.put_back(counts)


async def _put(
    tx: Connection,
    marks: Mapping[MarkKey, Mark],
    counts: Mapping[CountKey, int],
    places: Mapping[str, int],
) -> None:
    if marks:
        keys = sorted(marks)  # one order for all writers: no deadlock
        await tx.run(
            _SQL["put_marks"],
            projects=[key.project for key in keys],
            devices=[key.device for key in keys],
            streams=[key.stream for key in keys],
            boots=[marks[key].boot for key in keys],
            seqs=[marks[key].seq for key in keys],
        )
    if counts:
        counted = sorted(counts)
        await tx.run(
            _SQL["put_counts"],
            kinds=[key.kind for key in counted],
            projects=[key.project for key in counted],
            lines=[counts[key] for key in counted],
        )
    for shard, sequence in sorted(places.items()):
        await tx.run(_SQL["put_checkpoint"], shard=shard, sequence=sequence)
