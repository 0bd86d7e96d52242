"""Reads the body of a request: bounded in size and time, and only when it is wanted."""

import asyncio

from aiohttp import hdrs, web

from hub.gateway.connection import connection_of
from hub.gateway.problems import (
    BadHttp,
    BodyTooLarge,
    ExpectationFailed,
    Malformed,
    RequestTimeout,
)


async def read_body(request: web.Request) -> bytes:
    """Read the whole body.

    How large it may be is the application's `client_max_size`, how slow the connection's limit.

    Raises:
        BodyTooLarge: it is larger; told before it is read where its length is stated.
        RequestTimeout: it did not arrive in time.
        BadHttp: it ended early, or its chunks are not well formed.
        ExpectationFailed: `Expect` asks for something unknown.
    """
    limit = request.client_max_size
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    await _continue(request)
    seconds = connection_of(request).limits.body
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {seconds:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    except (web.RequestPayloadError, ConnectionError):
        raise BadHttp("the body ended early, or its chunks are not well formed") from None


async def refuse_body(request: web.Request) -> None:
    """Make sure that there is no body where none is taken.

    Raises:
        Malformed: there is one.
    """
    if request.can_read_body and await read_body(request):
        raise Malformed("this request takes no body")


async def leave_expectation(_request: web.Request) -> None:
    """Answer no `Expect: 100-continue` before the headers were looked at: see `read_body`."""


async def _continue(request: web.Request) -> None:
    """Tell a client that waits for it to go on (RFC 9110, section 10.1.1)."""
    expect = request.headers.get(hdrs.EXPECT, "").strip().lower()
    if not expect or request.version < (1, 1):
        return
    if expect != "100-continue":
        raise ExpectationFailed("only 100-continue is known")
    if not request.content.at_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does: the answer itself has not begun


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body has at most {limit} bytes")
