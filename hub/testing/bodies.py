"""Reads what a destination sent, whatever it is packed in, and finds the suite's words in it."""

import re
import zlib
from collections.abc import Callable
from typing import Final

import cramjam
import zstandard

# A word of the suite, so that it can be found in JSON, protobuf, syslog, or anything else: ASCII
# letters and digits need no escape in any format.
_MARKED: Final = re.compile(rb"mark([a-z0-9]{1,40}?)kram")
LONGEST_MARK: Final = 48
"""Bytes."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def mark(word: str) -> str:
    """Give a word (lower-case letters and digits) in a form that `marks` finds."""
    return f"mark{word}kram"


def marks(body: bytes) -> list[str]:
    """Give the words that stand in a body, in order."""
    return [found.decode() for found in _MARKED.findall(body)]


def unpacked(body: bytes, encoding: str) -> bytes:
    """Undo the compression that `Content-Encoding` names.

    Raises:
        ValueError: the body is not what it says.
    """
    for name in reversed([one.strip().lower() for one in encoding.split(",") if one.strip()]):
        unpack = _UNPACK.get(name)
        if unpack is None:
            raise ValueError(f"nobody knows the Content-Encoding {name!r}")
        try:
            body = unpack(body)
        except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError) as error:
            raise ValueError(f"the body is not {name}: {error}") from error
    return body


def guessed(data: bytes) -> bytes:
    """Undo the compression of bytes that come without a word about it (a file, a datagram)."""
    try:
        if data.startswith(_GZIP):
            return _gunzip(data)
        if data.startswith(_ZSTD):
            return _unzstd(data)
        if data[:1] == b"\x78" and int.from_bytes(data[:2], "big") % 31 == 0:  # RFC 1950, 2.2
            return zlib.decompress(data)
    except (zlib.error, zstandard.ZstdError):
        return data
    return data


def _gunzip(body: bytes) -> bytes:
    parts = []
    while body:  # there may be several members (RFC 1952, 2.2)
        reader = zlib.decompressobj(wbits=31)
        parts.append(reader.decompress(body) + reader.flush())
        if not reader.eof:
            raise zlib.error("it is cut short")
        body = reader.unused_data
    return b"".join(parts)


def _inflate(body: bytes) -> bytes:
    return zlib.decompress(body)  # RFC 9110, 8.4.1.2: "deflate" is the zlib format


def _unzstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


def _unsnappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(body))


_UNPACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": _gunzip,
    "deflate": _inflate,
    "zstd": _unzstd,
    "snappy": _unsnappy,
    "identity": bytes,
}
