"""The body of a batch: MessagePack, compressed as its head says, and bounded once it is not."""

import functools
import zlib
from typing import Final, TypeVar

import msgspec

from hub.protocol.batches import HEADER_BYTES, Codec, Header
from hub.protocol.limits import MAX_BODY_BYTES, ProtocolError

T = TypeVar("T")

# What msgspec raises for bytes that a stranger made: the last one for a thousand open brackets.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encoder: Final = msgspec.msgpack.Encoder()


def encode_body(columns: object, codec: Codec) -> bytes:
    """Make the body of a batch; `ZSTD` needs the `zstandard` package."""
    body = _encoder.encode(columns)
    match codec:
        case Codec.ZLIB:
            return zlib.compress(body, 1)
        case Codec.ZSTD:
            return _zstd().compress(body)
        case Codec.NONE:
            return body


def decode_body(payload: bytes, header: Header, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Read the body of a binary batch.

    Raises:
        ProtocolError: `bad-body`, `truncated`, `too-large` (a decompression bomb), or
            `unsupported-codec`.
    """
    body: bytes | memoryview = memoryview(payload)[HEADER_BYTES:]
    try:
        if header.codec == Codec.ZLIB:
            body = _inflate(body)
        elif header.codec == Codec.ZSTD:
            body = _zstd().decompress(body)
        return decoder.decode(body)
    except (*UNDECODABLE, zlib.error) as error:
        raise ProtocolError("bad-body", f"the body cannot be decoded: {error}") from None


def _inflate(body: bytes | memoryview) -> bytes:
    engine = zlib.decompressobj()
    plain = engine.decompress(body, MAX_BODY_BYTES)
    if engine.unconsumed_tail or not engine.eof:
        if len(plain) >= MAX_BODY_BYTES:
            raise ProtocolError("too-large", f"a body is at most {MAX_BODY_BYTES} bytes")
        raise ProtocolError("truncated", "the compressed body ends early")
    return plain


class _Zstd:
    """zstandard's two engines, made once; the package comes with the extra `hub`."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - not in the base install

        self._error = zstandard.ZstdError
        self._compress = zstandard.ZstdCompressor(level=1)
        self._decompress = zstandard.ZstdDecompressor()
        self._size = zstandard.frame_content_size

    def compress(self, data: bytes) -> bytes:
        return self._compress.compress(data)

    def decompress(self, data: bytes | memoryview) -> bytes:
        try:
            if not 0 <= self._size(data) <= MAX_BODY_BYTES:
                raise ProtocolError(
                    "too-large", f"a zstd body states its size, at most {MAX_BODY_BYTES} bytes"
                )
            return self._decompress.decompress(data, max_output_size=MAX_BODY_BYTES)
        except self._error as error:
            raise ProtocolError("bad-body", f"the body is not zstd: {error}") from None


@functools.cache
def _zstd() -> _Zstd:
    try:
        return _Zstd()
    except ImportError:
        raise ProtocolError("unsupported-codec", "zstandard is not installed here") from None
