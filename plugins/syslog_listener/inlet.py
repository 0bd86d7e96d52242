"""One connection's bytes, of which no more are taken than fit into one buffer."""

import asyncio
import socket
import struct
from typing import Final, Protocol, cast

BUFFER: Final = 64 * 1024
"""Bytes that are read at once, and held until they are stored."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # `struct linger`: what is not sent is dropped


class Inlet(Protocol):
    """What a peer sends, over TCP or TLS.

    Reading stops while the buffer is full. The peer so waits for what was read before: its own
    buffers fill, and it stops as well.
    """

    @property
    def filled(self) -> int:
        """Bytes that have come."""

    async def wait(self) -> bool:
        """Wait until something has come; False when it is over and nothing is left."""

    def peek(self) -> bytes:
        """Give what has come, and keep it."""

    def drop(self, size: int) -> None:
        """Let go of the first bytes of what has come, and read on."""

    def say_end(self) -> None:
        """Tell the peer that this is the end; what it sends until it knows can still be read."""

    def cut_off(self) -> None:
        """Break the connection off; what has come is kept."""


class PlainInlet(asyncio.BufferedProtocol):
    """Over TCP, and what TLS is on top of.

    Args:
        connection: that is read from.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray(BUFFER)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._news = asyncio.Event()

    # ── what the event loop calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give what is free of the buffer."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Note what has come."""
        self._filled += nbytes
        if self._filled == BUFFER and self._transport is not None:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Let the transport close: nothing that a peer would wait for is ever sent to it."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; whatever its reason, what has come is kept."""
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._news.set()

    # ── what a connection calls ──

    @property
    def filled(self) -> int:
        """Bytes that have come."""
        return self._filled

    async def wait(self) -> bool:
        """Wait until something has come; False when it is over and nothing is left."""
        await self._news.wait()
        return bool(self._filled)

    def peek(self) -> bytes:
        """Give what has come, and keep it."""
        return bytes(memoryview(self._buffer)[: self._filled])

    def drop(self, size: int) -> None:
        """Let go of the first bytes of what has come, and read on."""
        was_full = self._filled == BUFFER
        left = self._filled - size
        self._buffer[:left] = self._buffer[size : self._filled]
        self._filled = left
        if self._ended:
            return
        if not left:
            self._news.clear()
        if was_full and size and self._transport is not None:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send what TLS has to say."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def say_end(self) -> None:
        """Tell the peer that this is the end; what it sends until it knows can still be read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def cut_off(self) -> None:
        """Break the connection off; what has come is kept.

        By a reset, of which a peer learns before it writes again: it would lose what it writes to
        a connection that was only closed.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()

    def close(self) -> None:
        """Close the connection, on which nothing was taken."""
        if self._transport is not None:
            self._transport.close()
