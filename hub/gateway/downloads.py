"""Files as answers: sent as they come, to clients that take them."""

import asyncio
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web

from hub.gateway.connection import connection_of
from hub.routes import Download

STALL: Final = 60.0
"""Seconds that a client may leave its buffers full."""

_log = structlog.stdlib.get_logger(__name__)


async def send(
    request: web.Request, download: Download, *, stall: float = STALL
) -> web.StreamResponse:
    """Send a file to its end. One that breaks off has no end by HTTP either, so no client keeps it.

    Raises:
        IsaaxError: nothing could be read at all, so the answer is a problem.
    """
    async with aclosing(download.chunks) as chunks:
        first = await anext(chunks, b"")
        response = web.StreamResponse(headers=_headers(download))
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await _write(response, first, stall)
            async for chunk in chunks:
                await _write(response, chunk, stall)
                if connection_of(request).gone.done():
                    break
            else:
                await response.write_eof()
                return response
        except (TimeoutError, OSError):
            _log.info("a client did not take its file")
        except Exception:  # noqa: BLE001 - whatever it was, the client must not take it for whole
            _log.exception("a file broke off")
    if request.transport is not None:
        request.transport.abort()
    return response


async def _write(response: web.StreamResponse, chunk: bytes, stall: float) -> None:
    async with asyncio.timeout(stall):
        await response.write(chunk)


def _headers(download: Download) -> dict[str, str]:
    return {
        "Content-Type": download.media,
        # RFC 6266: the name for all, in the form for those that it does not suffice.
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(download.name)}",
        "Cache-Control": "no-store",
    }
