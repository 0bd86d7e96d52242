"""What could not be delivered or taken, kept in the stream DEAD with the reason."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from nats.aio.client import Client

from hub.batches import Chunk
from hub.protocol import (
    MAX_LINES,
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    Codec,
    encode_batch,
    encode_samples,
)
from hub.relay.cutting import AnyBatch, AnyChunk, runs
from hub.relay.publisher import Outgoing, Publisher
from hub.relay.stored import BATCH, HOST, LABELS, RECEIVED, BatchId
from hub.relay.streams import dead_subject

REASON: Final = "Isaax-Reason"
DEVICE: Final = "Isaax-Device"
STREAM: Final = "Isaax-Stream"
SOURCE: Final = "Isaax-Source"
_MAX_TEXT: Final = 1_000  # bytes of a text in a header
_MAX_LABELS: Final = 32 * 1024
"""Bytes of a letter's labels: nats-server stores headers of 64 KiB at most (error 10097)."""


class DeadLetters:
    """Writes dead letters; returning says that they are on disk."""

    def __init__(self, nats: Client) -> None:
        self._publisher: Publisher[asyncio.Future[None]] = Publisher(nats, _done)

    async def run(self) -> None:
        """Store what is put, until cancelled."""
        await self._publisher.run()

    async def put(
        self,
        *,
        project: str,
        source: str,
        id: str,  # noqa: A002
        payload: bytes,
        reason: str,
        device: str = "",
        stream: str = "",
        received: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep one payload.

        Args:
            source: id of the integration, or `intake`.
            id: stable, so that a repetition within the dedup window is kept once.
            reason: in words a user understands; no secrets.
            headers: more of them.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        all_headers = {
            REASON: header_text(reason),
            SOURCE: source,
            DEVICE: device,
            STREAM: stream,
            RECEIVED: str(received),
            **(headers or {}),
        }
        self._publisher.submit(
            Outgoing(
                subject=dead_subject(project, source),
                payload=payload,
                id=f"{source}:{id}",
                order=device,
                headers={name: value for name, value in all_headers.items() if value},
                context=future,
            )
        )
        await future

    async def put_batch(
        self, integration: str, batch: AnyBatch, reason: str, *, attempt: str = ""
    ) -> None:
        """Keep all lines of a batch, a letter for each chunk; see `put_chunks`."""
        chunks = [(chunk, reason) for chunk in batch.chunks]
        await self.put_chunks(integration, chunks, attempt=attempt)

    async def put_chunks(
        self, integration: str, chunks: Sequence[tuple[AnyChunk, str]], *, attempt: str = ""
    ) -> None:
        """Keep chunks, each with its own reason, as batches in the wire's form.

        A letter's lines follow each other without a hole, so that its id says which they are.

        Args:
            attempt: what tells lines that are delivered once more, because somebody asked for
                it, from the same ones before: a letter of theirs is a new one.
        """
        await asyncio.gather(
            *(
                self._put_piece(integration, piece, payload, reason, attempt)
                for chunk, reason in chunks
                for run in runs(chunk)
                for piece, payload in _encoded(run, MAX_PAYLOAD_BYTES - len(_labels_text(run)))
            )
        )

    async def _put_piece(
        self, integration: str, piece: AnyChunk, payload: bytes, reason: str, attempt: str
    ) -> None:
        batch = str(BatchId(piece.device, piece.stream, piece.boot, piece.first, len(piece)))
        await self.put(
            project=piece.project,
            source=integration,
            id=f"{attempt}:{batch}",
            payload=payload,
            reason=reason,
            device=piece.device,
            stream=piece.stream,
            received=piece.received,
            headers={BATCH: batch, LABELS: _labels_text(piece), HOST: header_text(piece.host)},
        )


def _labels_text(chunk: AnyChunk) -> str:
    """Write the labels of a chunk as a header has them; "" when there are none.

    Those that a header has no room for are left out: a letter that cannot be stored would hold up
    all that come after it.
    """
    labels = dict(chunk.labels)
    text = json.dumps(labels) if labels else ""
    while len(text) > _MAX_LABELS:
        labels.popitem()
        text = json.dumps(labels)
    return text


def _encoded(chunk: AnyChunk, room: int) -> Iterator[tuple[AnyChunk, bytes]]:
    """Encode a chunk, in pieces where the whole would take more than `room` bytes."""
    if isinstance(chunk, Chunk):
        payload = encode_batch(chunk.lines, boot=chunk.boot, first=chunk.first, codec=Codec.ZSTD)
    else:
        payload = encode_samples(
            chunk.samples, boot=chunk.boot, first=chunk.first, codec=Codec.ZSTD
        )
    if len(payload) <= room and len(chunk) <= MAX_LINES:
        yield chunk, payload
    elif len(chunk) > 1:
        half = len(chunk) // 2
        yield from _encoded(chunk.part(0, half), room)
        yield from _encoded(chunk.part(half), room)
    elif isinstance(chunk, Chunk):
        yield from _encoded(_cut(chunk), room)


def _cut(chunk: Chunk) -> Chunk:
    """Shorten the only line of a chunk to what a line may have, and say so in it."""
    text = chunk.lines.messages[0][: MAX_MESSAGE_BYTES // 4] + " [cut here]"
    return replace(chunk, lines=msgspec.structs.replace(chunk.lines, messages=[text]))


def header_text(text: str) -> str:
    """Make text safe for a header: one line of printable characters, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT])
    return line.encode()[:_MAX_TEXT].decode(errors="ignore").strip()


def _done(group: Sequence[Outgoing[asyncio.Future[None]]]) -> None:
    for message in group:
        if not message.context.done():
            message.context.set_result(None)
