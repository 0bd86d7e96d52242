"""From stored messages to what one `send` takes: decoded, named, cut to the destination's size."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hub.batches import Batch, Chunk
from hub.protocol import ProtocolError, decode_lines
from hub.relay.hosts import HostNames
from hub.relay.reader import StoredMessage
from hub.relay.stored import MSG_ID, RECEIVED, BatchId
from hub.relay.streams import project_of


@dataclass(frozen=True, slots=True)
class Parcel:
    """One batch, and what of the stream it completes.

    Args:
        size: bytes of its message texts.
        completes: the last message that has been handed out wholly with this parcel; None when
            more of it is to come.
        since: when the oldest message in it was stored, nanoseconds since the Unix epoch.
    """

    batch: Batch
    size: int
    completes: StoredMessage | None
    since: int


class Assembler:
    """Makes parcels for one destination.

    Args:
        poison: told of each message that cannot be decoded; it is left out.
    """

    def __init__(
        self,
        hosts: HostNames,
        *,
        max_lines: int,
        max_bytes: int,
        poison: Callable[[StoredMessage, str], Awaitable[None]],
    ) -> None:
        self._hosts = hosts
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._poison = poison
        self._rest: tuple[StoredMessage, Chunk] | None = None

    def clear(self) -> None:
        """Forget the rest of a message that was handed out in part."""
        self._rest = None

    async def next(self, take: Callable[[], StoredMessage | None]) -> Parcel | None:
        """Make the next parcel of what `take` gives without a wait; None when it gives nothing.

        A parcel may be empty, when all that came could not be decoded; it completes them.
        """
        chunks: list[Chunk] = []
        completes: StoredMessage | None = None
        since = 0
        lines_left, bytes_left = self._max_lines, self._max_bytes
        while lines_left > 0 and bytes_left > 0:
            piece = self._rest
            if piece is None:
                message = take()
                if message is None:
                    break
                chunk = await self._chunk(message)
                since = since or message.time
                if chunk is None:
                    completes = message
                    continue
                piece = (message, chunk)
            message, chunk = piece
            since = since or message.time
            count, size = fitting(chunk.lines.messages, lines_left, bytes_left)
            if count == 0:
                if chunks:
                    self._rest = piece
                    break
                count, size = 1, text_bytes(chunk.lines.messages[:1])  # larger than any batch
            lines_left -= count
            bytes_left -= size
            if count == len(chunk.lines):
                chunks.append(chunk)
                self._rest, completes = None, message
            else:
                chunks.append(part(chunk, 0, count))
                self._rest = (message, part(chunk, count, None))
                completes = None
                break
        if not chunks and completes is None:
            return None
        size = self._max_bytes - bytes_left
        return Parcel(Batch(batch_id(chunks), tuple(chunks)), size, completes, since)

    async def _chunk(self, message: StoredMessage) -> Chunk | None:
        try:
            identity = BatchId.parse(message.headers.get(MSG_ID, ""))
            received = int(message.headers.get(RECEIVED, "0"))
            lines = decode_lines(message.payload)
        except ProtocolError as error:
            await self._poison(message, str(error))
            return None
        except ValueError:
            await self._poison(message, "bad-header: the message has no valid id")
            return None
        project = project_of(message.subject)
        host = self._hosts.known(project, identity.device)
        if host is None:
            host = (await self._hosts.look_up(project, [identity.device]))[identity.device]
        return Chunk(
            project=project,
            device=identity.device,
            host=host,
            stream=identity.stream,
            boot=identity.boot,
            first=identity.first,
            received=received,
            lines=lines,
        )


def text_bytes(messages: Sequence[str]) -> int:
    """Count the bytes of these texts in UTF-8."""
    text = "".join(messages)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def fitting(messages: Sequence[str], max_lines: int, max_bytes: int) -> tuple[int, int]:
    """Say how many of the first messages fit, and their bytes."""
    head = messages if len(messages) <= max_lines else messages[:max_lines]
    size = text_bytes(head)
    if size <= max_bytes:
        return len(head), size
    count = taken = 0
    for total in accumulate(text_bytes((message,)) for message in head):
        if total > max_bytes:
            break
        count, taken = count + 1, total
    return count, taken


def part(chunk: Chunk, start: int, stop: int | None) -> Chunk:
    """Give a chunk's lines from `start` to before `stop` as a chunk."""
    return replace(chunk, first=chunk.first + start, lines=chunk.lines.slice(start, stop))


def subset(batch: Batch, indexes: Sequence[int]) -> Batch:
    """Give a batch of some lines only, by their indexes; runs without a hole become chunks."""
    wanted = sorted({index for index in indexes if 0 <= index < len(batch)})
    chunks: list[Chunk] = []
    offset = position = 0
    for chunk in batch.chunks:
        end = offset + len(chunk.lines)
        while position < len(wanted) and wanted[position] < end:
            start = wanted[position]
            stop = start + 1
            position += 1
            while position < len(wanted) and wanted[position] == stop < end:
                stop += 1
                position += 1
            chunks.append(part(chunk, start - offset, stop - offset))
        offset = end
    return Batch(batch_id(chunks), tuple(chunks))


def batch_id(chunks: Sequence[Chunk]) -> str:
    """Name a batch by its first line and the number of its lines: the same at every retry."""
    if not chunks:
        return ""
    first = chunks[0]
    count = sum(len(chunk.lines) for chunk in chunks)
    return f"{first.device}-{first.stream}-{first.boot}-{first.first}-{count}"
