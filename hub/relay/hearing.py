"""Which device said how much, and how bad: what the relay stored of a project, for who counts it.

Nothing stays open in between, and only what is asked for is read: a project of which nobody asks
costs nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client

from hub.errors import Unavailable
from hub.protocol import ProtocolError, count_severities
from hub.relay.reader import StoredMessage, ordered
from hub.relay.stored import MSG_ID, BatchId
from hub.relay.streams import logs_filter, shard_of, shard_stream
from hub.settings import RelaySettings

_WINDOW: Final = 2 * 1024 * 1024  # bytes that are read ahead


class LinePlace(msgspec.Struct, frozen=True):
    """How far a project's lines were read.

    Args:
        time: of the last batch, when JetStream stored it: nanoseconds since the Unix epoch.
        sequence: of that one in the stream; 0 begins with the first of that time.
    """

    time: int
    sequence: int = 0


class HeardLines(msgspec.Struct, frozen=True, gc=False):
    """A batch of lines of a device, or of another source.

    Args:
        place: it has, and so it is known when it was stored.
        severities: how many lines there are of each, from 0 (emerg) to 7 (debug); empty where
            nobody asked, or where the batch cannot be read and so becomes a dead letter.
    """

    device: str
    stream: str
    place: LinePlace
    severities: list[int]


class LineFeed:
    """The way to the lines that the relay has stored."""

    def __init__(self, nats: Client, shards: int) -> None:
        self._nats = nats
        self._shards = shards

    async def after(
        self, project: str, place: LinePlace, *, severities: bool
    ) -> AsyncIterator[HeardLines]:
        """Give what a project sent after a place, up to what is stored when it begins.

        By time, and not by sequence alone: a stream that was lost and made anew is read on.

        Args:
            severities: count the lines of each; else no more than the heads is read.

        Raises:
            Unavailable: JetStream does not answer.
        """
        shard = shard_of(project, self._shards)
        try:
            async with ordered(
                self._nats,
                shard_stream(shard),
                logs_filter(shard, project),
                start=datetime.fromtimestamp(place.time // 1_000 / 1e6, UTC),
                headers_only=not severities,
                window=_WINDOW,
            ) as reader:
                async for message in reader.stored():
                    if (message.time, message.sequence) > (place.time, place.sequence):
                        heard = _heard(message, severities=severities)
                        if heard is not None:
                            yield heard
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"the stored lines cannot be read now: {error}") from error


def _heard(message: StoredMessage, *, severities: bool) -> HeardLines | None:
    try:
        batch = BatchId.parse(message.headers.get(MSG_ID, ""))
    except ValueError:  # a delivery makes it a dead letter
        return None
    try:
        counts = count_severities(message.payload) if severities else []
    except ProtocolError:
        counts = []
    place = LinePlace(message.time, message.sequence)
    return HeardLines(batch.device, batch.stream, place, counts)


@asynccontextmanager
async def line_feed(client: Client, settings: RelaySettings) -> AsyncIterator[LineFeed]:
    """Open the way to the lines, for whoever asks for it by its type."""
    yield LineFeed(client, settings.shards)
