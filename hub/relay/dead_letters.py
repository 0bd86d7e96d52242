"""What could not be delivered or taken, kept in the stream DEAD with the reason."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from nats.aio.client import Client

from hub.batches import Batch, Chunk
from hub.protocol import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, Codec, encode_batch
from hub.relay.batching import part
from hub.relay.publisher import Outgoing, Publisher
from hub.relay.stored import RECEIVED
from hub.relay.streams import dead_subject

REASON: Final = "Isaax-Reason"
DEVICE: Final = "Isaax-Device"
STREAM: Final = "Isaax-Stream"
SOURCE: Final = "Isaax-Source"
_MAX_REASON: Final = 500


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
    ) -> None:
        """Keep one payload.

        Args:
            source: id of the integration, or `intake`.
            id: stable, so that a repetition within the dedup window is kept once.
            reason: in words a user understands; no secrets.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        headers = {
            REASON: header_text(reason),
            SOURCE: source,
            DEVICE: device,
            STREAM: stream,
            RECEIVED: str(received),
        }
        self._publisher.submit(
            Outgoing(
                subject=dead_subject(project, source),
                payload=payload,
                id=f"{source}:{id}",
                order=device,
                headers={name: value for name, value in headers.items() if value},
                context=future,
            )
        )
        await future

    async def put_batch(self, integration: str, batch: Batch, reason: str) -> None:
        """Keep all lines of a batch, a letter for each chunk."""
        await self.put_chunks(integration, [(chunk, reason) for chunk in batch.chunks])

    async def put_chunks(self, integration: str, chunks: Sequence[tuple[Chunk, str]]) -> None:
        """Keep chunks, each with its own reason, as batches in the wire's form."""
        await asyncio.gather(
            *(
                self.put(
                    project=piece.project,
                    source=integration,
                    id=f"{piece.device}:{piece.stream}:{piece.boot}:{piece.first}:{len(piece.lines)}",
                    payload=payload,
                    reason=reason,
                    device=piece.device,
                    stream=piece.stream,
                    received=piece.received,
                )
                for chunk, reason in chunks
                for piece, payload in _encoded(chunk)
            )
        )


def _encoded(chunk: Chunk) -> Iterator[tuple[Chunk, bytes]]:
    """Encode a chunk, in pieces where the whole would be larger than a batch may be."""
    payload = encode_batch(chunk.lines, boot=chunk.boot, first=chunk.first, codec=Codec.ZSTD)
    if len(payload) <= MAX_PAYLOAD_BYTES:
        yield chunk, payload
    elif len(chunk.lines) > 1:
        half = len(chunk.lines) // 2
        yield from _encoded(part(chunk, 0, half))
        yield from _encoded(part(chunk, half, None))
    else:
        yield from _encoded(_cut(chunk))


def _cut(chunk: Chunk) -> Chunk:
    """Shorten the only line of a chunk to what a line may have, and say so in it."""
    text = chunk.lines.messages[0][: MAX_MESSAGE_BYTES // 4] + " [cut here]"
    return replace(chunk, lines=msgspec.structs.replace(chunk.lines, messages=[text]))


def header_text(text: str) -> str:
    """Make text safe for a header: one line of printable characters, not too long."""
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_REASON]).strip()


def _done(group: Sequence[Outgoing[asyncio.Future[None]]]) -> None:
    for message in group:
        if not message.context.done():
            message.context.set_result(None)
