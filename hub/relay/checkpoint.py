"""Marks that outlive the process: a checkpoint in Postgres, and the stream's headers after it.

JetStream's dedup ids last an hour; a device may be away for weeks. The stream itself says what is
durable, and the checkpoint spares us from reading all of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from nats.aio.client import Client

from hub.database import Connection, Database, Queries
from hub.errors import IsaaxError
from hub.protocol import Mark
from hub.relay.marks import MarkKey, MarkTable
from hub.relay.reader import ordered
from hub.relay.stored import MSG_ID, BatchId
from hub.relay.streams import project_of, shard_stream

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.relay")

_INTERVAL: Final = 2.0  # seconds between checkpoints


class _MarkRow(msgspec.Struct, frozen=True):
    project: str
    device: str
    stream: str
    boot: int
    seq: int


class _CheckpointRow(msgspec.Struct, frozen=True):
    shard: str
    sequence: int


class SequenceSource(Protocol):
    """Knows where a shard has come to (see `Publisher.sequence`)."""

    @property
    def sequence(self) -> int:
        """Stream sequence up to which every mark has been reported."""
        ...


async def restore(nats: Client, database: Database, marks: MarkTable, shards: int) -> list[int]:
    """Fill the table with what is durable; give the stream sequence that each shard has come to.

    Raises:
        Unavailable: Postgres does not answer.
        nats.errors.Error: JetStream does not answer.
    """
    async with database.transaction() as tx:
        rows = await tx.all(_SQL["marks"], _MarkRow)
        places = {
            row.shard: row.sequence for row in await tx.all(_SQL["checkpoints"], _CheckpointRow)
        }
    for row in rows:
        marks.stored(MarkKey(row.project, row.device, row.stream), Mark(row.boot, row.seq))
    marks.take_changed()  # these are written down
    return [
        await _read_on(nats, marks, shard, places.get(shard_stream(shard), 0))
        for shard in range(shards)
    ]


async def _read_on(nats: Client, marks: MarkTable, shard: int, place: int) -> int:
    """Read the headers of what a shard holds after `place`."""
    stream = shard_stream(shard)
    last = (await nats.jetstream().stream_info(stream)).state.last_seq
    if place > last:
        _log.error("the stream is behind the checkpoint: was its data lost?", stream=stream)
        place = 0
    if place == last:
        return last
    async with ordered(
        nats, stream, f"relay.{shard}.>", start=place + 1, headers_only=True
    ) as reader:
        left = reader.available
        while left:
            message = await reader.next()
            left = message.pending
            last = max(last, message.sequence)
            try:
                identity = BatchId.parse(message.headers.get(MSG_ID, ""))
            except ValueError:
                _log.warning("a stored message has no valid id", sequence=message.sequence)
                continue
            key = MarkKey(project_of(message.subject), identity.device, identity.stream)
            marks.stored(key, Mark(identity.boot, identity.last))
    return last


class Checkpoints:
    """Writes the marks down every few seconds.

    Args:
        sources: one for each shard.
    """

    def __init__(
        self, database: Database, marks: MarkTable, sources: Sequence[SequenceSource]
    ) -> None:
        self._database = database
        self._marks = marks
        self._sources = sources
        self._written: dict[str, int] = {}

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Write what has changed, in one transaction; what fails is kept for the next time."""
        places = {shard_stream(n): source.sequence for n, source in enumerate(self._sources)}
        places = {shard: at for shard, at in places.items() if at > self._written.get(shard, 0)}
        changed = self._marks.take_changed()
        if not places and not changed:
            return
        try:
            async with self._database.transaction() as tx:
                await _put(tx, changed, places)
        except IsaaxError as error:
            self._marks.put_back(changed)
            _log.warning("no checkpoint", error=str(error))
        except BaseException:
            self._marks.put_back(changed)
            raise
        else:
            self._written |= places


async def _put(tx: Connection, marks: Mapping[MarkKey, Mark], places: Mapping[str, int]) -> None:
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
    for shard, sequence in sorted(places.items()):
        await tx.run(_SQL["put_checkpoint"], shard=shard, sequence=sequence)
