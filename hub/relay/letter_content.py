"""What is in a dead letter: read, shown, and encoded anew with other texts."""

from typing import Final

import msgspec

from hub.errors import FieldError, Invalid
from hub.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    Codec,
    Header,
    Lines,
    ProtocolError,
    Samples,
    decode_header,
    decode_lines,
    decode_samples,
    encode_batch,
    read_position,
)
from hub.relay.contracts import DeadLine
from hub.relay.dead_letters import STREAM
from hub.relay.letter_box import Letter
from hub.relay.stored import BATCH, BatchId
from hub.times import rfc3339

_SHOWN: Final = 512 * 1024  # bytes of a letter's lines that are shown at most, as JSON
_INFO: Final = 14  # RFC 5424, 6.2.1: user.info, for samples, which have no priority


class Content:
    """What is in a letter.

    Args:
        decoded: None when it cannot be read.
        position: what it covers, where at least that can be read.
    """

    def __init__(
        self, batch: BatchId | None, decoded: Lines | Samples | None, position: Header | None
    ) -> None:
        self.batch = batch
        self.decoded = decoded
        self.position = position

    @classmethod
    def of(cls, letter: Letter) -> "Content":
        """Read a letter."""
        try:
            batch = BatchId.parse(letter.headers.get(BATCH, ""))
        except ValueError:
            batch = None
        metric = letter.headers.get(STREAM, "").startswith("metric.")
        try:
            payload = letter.payload
            decoded = decode_samples(payload) if metric else decode_lines(payload)
            return cls(batch, decoded, decode_header(payload))
        except ProtocolError:
            return cls(batch, None, read_position(letter.payload))

    @property
    def count(self) -> int:
        """How many lines or samples there are, as far as can be told."""
        if self.decoded is not None:
            return len(self.decoded)
        return self.position.span if self.position else 0

    def lines(self) -> list[DeadLine]:
        """Show them, the first ones of very many."""
        shown: list[DeadLine] = []
        room = _SHOWN
        for index, (when, priority, program, message) in enumerate(self._rows()):
            line = DeadLine(self._id(index), rfc3339(when), priority, program, message)
            room -= len(msgspec.json.encode(line))
            if room < 0 and shown:
                break
            shown.append(line)
        return shown

    def _rows(self) -> "list[tuple[int, int, str, str]]":
        match self.decoded:
            case Lines() as lines:
                columns = (lines.priority_column(), lines.program_column(), lines.messages)
                return list(zip(lines.times, *columns, strict=True))
            case Samples() as samples:
                names, values = samples.name_column(), samples.values
                return [
                    (when, _INFO, name, f"{value:g}")
                    for when, name, value in zip(samples.times, names, values, strict=True)
                ]
            case None:
                return []

    def _id(self, index: int) -> str:
        if self.batch is None or self.position is None:
            return ""
        number = self.position.first + index
        return f"{self.batch.device}-{self.batch.stream}-{self.position.boot}-{number}"


def fixed(letter: Letter, messages: list[str]) -> bytes:
    """Encode a letter anew with other texts, one for each line.

    Raises:
        Invalid: it has no lines that can be read, or the texts do not fit.
    """
    content = Content.of(letter)
    lines, head = content.decoded, content.position
    if not isinstance(lines, Lines) or head is None:
        raise Invalid("only lines that can be read can be fixed")
    if len(messages) != len(lines):
        wrong = FieldError("/messages", f"one for each line: {len(lines)}")
        raise Invalid(wrong.detail, errors=[wrong])
    for index, text in enumerate(messages):
        if len(text.encode()) > MAX_MESSAGE_BYTES:
            wrong = FieldError(f"/messages/{index}", f"is longer than {MAX_MESSAGE_BYTES} bytes")
            raise Invalid(wrong.detail, errors=[wrong])
    payload = encode_batch(
        msgspec.structs.replace(lines, messages=messages),
        boot=head.boot,
        first=head.first,
        span=head.span,
        codec=Codec.ZSTD,
    )
    if len(payload) > MAX_PAYLOAD_BYTES:
        wrong = FieldError("/messages", f"together they take more than {MAX_PAYLOAD_BYTES} bytes")
        raise Invalid(wrong.detail, errors=[wrong])
    return payload
