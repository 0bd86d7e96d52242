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
from hub.relay.books import weight_of
from hub.relay.contracts import MakeRoom
from hub.relay.cutting import AnyBatch, AnyChunk, runs
from hub.relay.publisher import Outgoing, Publisher
from hub.relay.room import MakesRoom
from hub.relay.stored import BATCH, HOST, LABELS, RECEIVED, BatchId
from hub.relay.streams import dead_subject

REASON: Final = "Isaax-Reason"
DEVICE: Final = "Isaax-Device"
STREAM: Final = "Isaax-Stream"
SOURCE: Final = "Isaax-Source"
_MAX_TEXT: Final = 1_000  # bytes of a text in a header
_MAX_LABELS: Final = 32 * 1024
"""Bytes of a letter's labels: nats-server stores headers of 64 KiB at most (error 10097)."""

_AT_ONCE: Final = 1024 * 1024  # bytes of letters that are written at once, unless it is one alone
_Letter = Outgoing[asyncio.Future[None]]


class DeadLetters:
    """Writes dead letters; returning says that they are on disk.

    Args:
        room: makes room for them; without it, the oldest of all make room for the newest.
    """

    def __init__(self, nats: Client, room: MakesRoom | None = None) -> None:
        self._room = room
        self._publisher = Publisher(nats, _done)

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
        headers = {REASON: reason, SOURCE: source, STREAM: stream, RECEIVED: str(received)}
        subject = dead_subject(project, source)
        letter = _outgoing(subject, payload, f"{source}:{id}", device, headers)
        await self._store(project, [letter])

    async def put_batch(
        self, integration: str, batch: AnyBatch, reason: str, *, attempt: str = ""
    ) -> None:
        """Keep all lines of a batch, a letter for each chunk; see `put_chunks`."""
        chunks = [(chunk, reason) for chunk in batch.chunks]
        await self.put_chunks(integration, chunks, attempt=attempt)

    async def put_chunks(
        self, integration: str, chunks: Sequence[tuple[AnyChunk, str]], *, attempt: str = ""
    ) -> None:
        """Keep chunks of one project, each with its own reason, as batches in the wire's form.

        A letter's lines follow each other without a hole, so that its id says which they are.

        Args:
            attempt: what tells lines that are delivered once more, because somebody asked for
                it, from the same ones before: a letter of theirs is a new one.
        """
        letters = [
            _of_piece(integration, piece, payload, reason, attempt)
            for chunk, reason in chunks
            for run in runs(chunk)
            for piece, payload in _encoded(run, MAX_PAYLOAD_BYTES - len(_labels_text(run)))
        ]
        if letters:
            await self._store(chunks[0][0].project, letters)

    async def _store(self, project: str, letters: Sequence[_Letter]) -> None:
        for group in _in_groups(letters):
            if self._room is not None:
                weights = {letter.id: _weight_of(letter) for letter in group}
                await self._room.make(MakeRoom(project, weights))
            for letter in group:
                self._publisher.submit(letter)
            await asyncio.gather(*(letter.context for letter in group))


def _in_groups(letters: Sequence[_Letter]) -> Iterator[list[_Letter]]:
    """Deal letters into groups, so that room for one does not take what all have."""
    group: list[_Letter] = []
    size = 0
    for letter in letters:
        weight = _weight_of(letter)
        if group and size + weight > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(letter)
        size += weight
    if group:
        yield group


def _weight_of(letter: _Letter) -> int:
    return weight_of(letter.subject, letter.headers, len(letter.payload))


def _of_piece(
    integration: str, piece: AnyChunk, payload: bytes, reason: str, attempt: str
) -> _Letter:
    batch = str(BatchId(piece.device, piece.stream, piece.boot, piece.first, len(piece)))
    headers = {
        REASON: reason,
        SOURCE: integration,
        STREAM: piece.stream,
        RECEIVED: str(piece.received),
        BATCH: batch,
        LABELS: _labels_text(piece),
        HOST: header_text(piece.host),
    }
    subject = dead_subject(piece.project, integration)
    return _outgoing(subject, payload, f"{integration}:{attempt}:{batch}", piece.device, headers)


def _outgoing(
    subject: str, payload: bytes, id_: str, device: str, headers: Mapping[str, str]
) -> _Letter:
    texts = {**headers, DEVICE: device, REASON: header_text(headers[REASON])}
    return Outgoing(
        subject=subject,
        payload=payload,
        id=id_,
        order=device,
        headers={name: value for name, value in texts.items() if value},
        context=asyncio.get_running_loop().create_future(),
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


def _done(group: Sequence[_Letter]) -> None:
    for message in group:
        if not message.context.done():
            message.context.set_result(None)
