"""The records that a segment of the spool is made of.

A record is `length (u32) | CRC-32 (u32) | kind (u8) | payload`, big-endian; the length counts the
payload, the checksum covers the kind and the payload. A segment that was cut anywhere (power
loss, kill -9) is valid up to its last whole record.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

from hub.protocol import MAX_PAYLOAD_BYTES, decode_header

HEAD: Final = 1
BATCH: Final = 2
GAP: Final = 3
ACKED: Final = 4

_FRAME: Final = struct.Struct(">IIB")
_GAP: Final = struct.Struct(">QIQ")
_ACKED: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")
_MAX_PAYLOAD: Final = 2 * MAX_PAYLOAD_BYTES

_positions_encoder: Final = msgspec.json.Encoder()
_positions_decoder: Final = msgspec.json.Decoder(dict[str, str])


class Head(msgspec.Struct, frozen=True):
    """The first record of a segment: what must be known when the older ones are gone.

    Args:
        acked: the last sequence number that the hub has.
        positions: where each source stands.
    """

    acked: int
    positions: dict[str, str]


_head_decoder: Final = msgspec.json.Decoder(Head)


class Record(msgspec.Struct, frozen=True):
    """A record as it lies in a segment, from `offset` to before `end`."""

    kind: int
    payload: bytes
    offset: int
    end: int


def head(acked: int, positions: dict[str, str]) -> bytes:
    """Make the record that opens a segment."""
    return _frame(HEAD, _positions_encoder.encode(Head(acked, positions)))


def batch(wire: bytes, positions: dict[str, str]) -> bytes:
    """Make the record of a batch, with the positions of its sources: both are kept, or neither."""
    encoded = _positions_encoder.encode(positions)
    return _frame(BATCH, _LENGTH.pack(len(encoded)) + encoded + wire)


def gap(first: int, span: int, time: int) -> bytes:
    """Make the record of lines that were lost before they reached the spool."""
    return _frame(GAP, _GAP.pack(first, span, time))


def acked(sequence: int) -> bytes:
    """Make the record that says how far the hub has it."""
    return _frame(ACKED, _ACKED.pack(sequence))


def read_head(record: Record) -> Head:
    """Take a `HEAD` apart."""
    return _head_decoder.decode(record.payload)


def read_batch(record: Record) -> tuple[bytes, dict[str, str]]:
    """Take a `BATCH` apart into the wire bytes and the positions."""
    (length,) = _LENGTH.unpack_from(record.payload)
    start = _LENGTH.size + length
    return record.payload[start:], _positions_decoder.decode(record.payload[_LENGTH.size : start])


def read_gap(record: Record) -> tuple[int, int, int]:
    """Take a `GAP` apart into first, span and time (µs)."""
    first, span, time = _GAP.unpack(record.payload)
    return first, span, time


def read_acked(record: Record) -> int:
    """Take an `ACKED` apart."""
    (sequence,) = _ACKED.unpack(record.payload)
    return int(sequence)


def covered(record: Record) -> tuple[int, int] | None:
    """Give the first and last sequence number that a record covers; None if it holds no lines."""
    if record.kind == BATCH:
        (length,) = _LENGTH.unpack_from(record.payload)
        header = decode_header(record.payload[_LENGTH.size + length :])
        return header.first, header.last
    if record.kind == GAP:
        first, span, _ = read_gap(record)
        return first, first + span - 1
    return None


def read(descriptor: int, offset: int) -> Record | None:
    """Read one record; None where no whole and valid record begins.

    Raises:
        OSError: the file cannot be read.
    """
    frame = os.pread(descriptor, _FRAME.size, offset)
    if len(frame) < _FRAME.size:
        return None
    length, checksum, kind = _FRAME.unpack(frame)
    if length > _MAX_PAYLOAD or not HEAD <= kind <= ACKED:  # zeros after a power loss, say
        return None
    payload = os.pread(descriptor, length, offset + _FRAME.size)
    if len(payload) < length or _checksum(kind, payload) != checksum:
        return None
    return Record(kind, payload, offset, offset + _FRAME.size + length)


def scan(descriptor: int, offset: int = 0) -> Iterator[Record]:
    """Read records up to the end, or to the first that is not whole.

    Raises:
        OSError: the file cannot be read.
    """
    while (record := read(descriptor, offset)) is not None:
        yield record
        offset = record.end


def _frame(kind: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), _checksum(kind, payload), kind) + payload


def _checksum(kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, kind)
