"""From a stored message to a chunk: whose it is, and its lines or samples."""

from typing import Any, Final, NamedTuple

import msgspec

from hub.batches import NO_LABELS, Chunk, MetricChunk
from hub.protocol import ProtocolError, decode_lines, decode_samples
from hub.relay.cutting import AnyChunk
from hub.relay.reader import StoredMessage
from hub.relay.stored import BATCH, HOST, LABELS, MSG_ID, RECEIVED, BatchId

_labels: Final = msgspec.json.Decoder(dict[str, str])


class Unreadable(Exception):  # noqa: N818 - an outcome: the message becomes a dead letter
    """A stored message that cannot be decoded; the text says why."""


class Origin(NamedTuple):
    """What a stored message says besides its lines.

    Args:
        host: to be shown instead of the device's; "" for the device's.
    """

    batch: BatchId
    received: int
    host: str


def origin_of(message: StoredMessage) -> Origin:
    """Read the headers of a stored batch, or of a replay.

    Raises:
        Unreadable: they are not what they have to be.
    """
    headers = message.headers
    try:
        batch = BatchId.parse(headers.get(BATCH) or headers.get(MSG_ID, ""))
        return Origin(batch, int(headers.get(RECEIVED, "0")), headers.get(HOST, ""))
    except ValueError:
        raise Unreadable("bad-header: the message has no valid id") from None


def unpack(message: StoredMessage, origin: Origin, *, project: str, host: str) -> AnyChunk:
    """Decode the lines or samples of a message.

    Raises:
        Unreadable: they cannot be decoded.
    """
    batch = origin.batch
    common: dict[str, Any] = {
        "project": project,
        "device": batch.device,
        "host": host,
        "stream": batch.stream,
        "boot": batch.boot,
        "first": batch.first,
        "received": origin.received,
        "labels": _labels_of(message.headers),
    }
    try:
        if batch.stream.startswith("metric."):
            return MetricChunk(samples=decode_samples(message.payload), **common)
        return Chunk(lines=decode_lines(message.payload), **common)
    except ProtocolError as error:
        raise Unreadable(str(error)) from None


def _labels_of(headers: dict[str, str]) -> Any:
    text = headers.get(LABELS)
    if text is None:
        return NO_LABELS
    try:
        return _labels.decode(text)
    except msgspec.MsgspecError:
        return NO_LABELS
