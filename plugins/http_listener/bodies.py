"""Bodies of requests: bounded as they come, and bounded again as they are decompressed."""

import asyncio
import io
import zlib
from typing import Final

import aiohttp
import zstandard
from aiohttp import web

from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.refusals import Refused

_GZIP: Final = 31  # zlib's window bits for RFC 1952
_PIECE: Final = 16 * 1024
_ZLIB: Final = 15  # and for RFC 1950, which is what HTTP's `deflate` means (RFC 9110, 8.4.1.2)


async def read_body(request: web.Request, settings: HttpListenerSettings) -> bytes:
    """Read a request's body, and decompress it.

    Raises:
        Refused: it is too large, too slow, or in an encoding that is not known or broken.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", "deflate", "zstd"}:
        raise Refused(415, "Content-Encoding is gzip, deflate, zstd, or nothing")
    try:
        async with asyncio.timeout(settings.read_timeout):
            raw = await _read(request.content, settings.max_body)
    except TimeoutError:
        raise Refused(408, "the body did not arrive in time") from None
    except aiohttp.ClientPayloadError:
        raise Refused(400, "the body ended early") from None
    if encoding == "identity":
        return raw
    # Beside the event loop: it may be some megabytes.
    return await asyncio.to_thread(_decompress, raw, encoding, settings.max_plain)


async def _read(content: aiohttp.StreamReader, most: int) -> bytes:
    taken = bytearray()
    while piece := await content.readany():
        taken += piece
        if len(taken) > most:
            raise Refused(413, f"a body is at most {most} bytes")
    return bytes(taken)


def _decompress(raw: bytes, encoding: str, most: int) -> bytes:
    try:
        if encoding == "zstd":
            plain = _unzstd(raw, most)
        else:
            plain = _inflate(raw, _ZLIB if encoding == "deflate" else _GZIP, most)
    except (zlib.error, zstandard.ZstdError):
        raise Refused(400, f"the body is not {encoding}") from None
    if len(plain) > most:
        raise Refused(413, f"a decompressed body is at most {most} bytes")
    return plain


def _inflate(raw: bytes, bits: int, most: int) -> bytes:
    """Give what is compressed, or its first bytes beyond `most`; gzip may have several members."""
    plain = bytearray()
    rest = io.BytesIO(raw)
    engine = zlib.decompressobj(bits)
    # By pieces: what is behind a member is copied each time, and there may be very many of them.
    piece = rest.read(_PIECE)
    while piece and len(plain) <= most:
        if engine.eof:
            engine = zlib.decompressobj(bits)
        plain += engine.decompress(piece, most + 1 - len(plain))
        piece = engine.unused_data or engine.unconsumed_tail or rest.read(_PIECE)
    if raw and not engine.eof and len(plain) <= most:
        raise zlib.error("it ends early")
    return bytes(plain)


def _unzstd(raw: bytes, most: int) -> bytes:
    # A frame may ask for a window of gigabytes (RFC 8878, 3.1.1.1.2).
    engine = zstandard.ZstdDecompressor(max_window_size=max(most, 1 << 23))
    with engine.stream_reader(io.BytesIO(raw), read_across_frames=True) as reader:
        return reader.read(most + 1)
