"""What is left of a batch whose first lines are known already."""

from collections.abc import Callable
from typing import Final

from hub.protocol import (
    MAX_PAYLOAD_BYTES,
    Codec,
    Header,
    ProtocolError,
    decode_lines,
    decode_samples,
    encode_batch,
    encode_samples,
)
from hub.relay.streams import Kind


def beyond(header: Header, skip: int) -> Header:
    """Give the head of what is left of a batch without its first `skip` sequence numbers."""
    if not skip:
        return header
    return Header(header.codec, header.boot, header.first + skip, header.span - skip)


def trim(kind: Kind, payload: bytes, rest: Header, skip: int) -> bytes:
    """Leave out the first `skip` sequence numbers of a batch; `rest` is its head then.

    Raises:
        ProtocolError: its lines (or samples) cannot be read.
    """
    trimmed = _TRIM[kind](payload, rest, skip)
    if len(trimmed) > MAX_PAYLOAD_BYTES:
        raise ProtocolError("too-large", "without its known lines the batch is larger than before")
    return trimmed


# A batch that covers more numbers than it has lines keeps at least the line that says so.


def _trim_lines(payload: bytes, rest: Header, skip: int) -> bytes:
    lines = decode_lines(payload)
    kept = lines.slice(min(skip, len(lines) - 1))
    return encode_batch(
        kept, boot=rest.boot, first=rest.first, span=rest.span, codec=Codec(rest.codec)
    )


def _trim_samples(payload: bytes, rest: Header, skip: int) -> bytes:
    samples = decode_samples(payload)
    kept = samples.slice(min(skip, len(samples) - 1))
    return encode_samples(
        kept, boot=rest.boot, first=rest.first, span=rest.span, codec=Codec(rest.codec)
    )


_TRIM: Final[dict[Kind, Callable[[bytes, Header, int], bytes]]] = {
    "log": _trim_lines,
    "metric": _trim_samples,
}
