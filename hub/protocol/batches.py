"""The head of a batch: 24 bytes that say which lines or samples it holds."""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from hub.protocol.limits import MAX_LINES, MAX_PAYLOAD_BYTES, VERSION, ProtocolError


class Codec(IntEnum):
    """How the body of a batch is compressed."""

    NONE = 0
    ZLIB = 1  # RFC 1950
    ZSTD = 2  # RFC 8878


class Header(msgspec.Struct, frozen=True):
    """The first 24 bytes of a batch.

    Args:
        codec: compression of the body.
        boot: which life of the device's spool these sequence numbers belong to (1 or more).
        first: sequence number of the first line (1 or more).
        span: how many sequence numbers the batch covers. Equal to the number of lines, or more
            when lines were lost on the device; one of its lines then says how many.
    """

    codec: int
    boot: int
    first: int
    span: int

    @property
    def last(self) -> int:
        """Sequence number of the last line that the batch covers."""
        return self.first + self.span - 1


_HEADER: Final = struct.Struct(">BBxxIQQ")
HEADER_BYTES: Final = _HEADER.size


def encode_header(header: Header) -> bytes:
    """Make the head of a binary batch."""
    return _HEADER.pack(VERSION, header.codec, header.span, header.boot, header.first)


def renumber(payload: bytes, *, boot: int, first: int) -> bytes:
    """Give a binary batch other numbers; nothing else of it changes."""
    version, codec, span, _, _ = _HEADER.unpack_from(payload)
    return _HEADER.pack(version, codec, span, boot, first) + payload[HEADER_BYTES:]


def decode_header(payload: bytes) -> Header:
    """Read the head of a binary batch without touching its body.

    Raises:
        ProtocolError: `truncated`, `unsupported-version`, `unsupported-codec`, `bad-header`,
            `too-large`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError(
            "too-large", f"a batch is at most {MAX_PAYLOAD_BYTES} bytes, this one {len(payload)}"
        )
    if len(payload) <= HEADER_BYTES:
        raise ProtocolError("truncated", f"a batch is longer than {HEADER_BYTES} bytes")
    version, codec, span, boot, first = _HEADER.unpack_from(payload)
    if version != VERSION:
        raise ProtocolError("unsupported-version", f"version {version}; this hub speaks {VERSION}")
    if codec > Codec.ZSTD:
        raise ProtocolError("unsupported-codec", f"codec {codec}; known are 0, 1 and 2")
    if not (boot and first and span):
        raise ProtocolError("bad-header", "boot, first and span are 1 or more")
    if first + span >= 1 << 63 or boot >= 1 << 63:
        raise ProtocolError("bad-header", "boot and sequence numbers are below 2^63")
    return Header(codec, boot, first, span)


def read_binary_position(payload: bytes) -> Header | None:
    """Read what a binary batch covers that cannot be taken; None when that cannot be read."""
    if len(payload) < HEADER_BYTES:
        return None
    version, codec, span, boot, first = _HEADER.unpack_from(payload)
    if version != VERSION or not (boot and first and span):
        return None
    if first + span >= 1 << 63 or boot >= 1 << 63:
        return None
    return Header(codec, boot, first, span)


def check_columns(count: int, columns: Sequence[object], header: Header) -> None:
    """See that a body has as many rows as it may, and that its columns agree on it.

    Raises:
        ProtocolError: `bad-body`.
    """
    if any(isinstance(column, list) and len(column) != count for column in columns):
        raise ProtocolError("bad-body", "the columns differ in length")
    if not 0 < count <= MAX_LINES:
        raise ProtocolError("bad-body", f"a batch has 1 to {MAX_LINES} lines, this one {count}")
    if count > header.span:
        raise ProtocolError("bad-body", f"{count} lines in a batch that covers {header.span}")
