"""One connection's bytes, of which no more are taken than fit into one buffer."""

import asyncio
from typing import Final, cast

BUFFER: Final = 64 * 1024
"""Bytes that are read at once, and held until they are stored."""


class Inlet(asyncio.BufferedProtocol):
    """Reads into one buffer, and stops reading while that is full.

    The peer so waits for what was read before: its own buffers fill, and it stops as well.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(BUFFER)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._news = asyncio.Event()

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
        """Let the transport close: nothing is ever sent to a peer."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; whatever its reason, what has come is kept."""
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._news.set()

    def take(self) -> bytes:
        """Give what has come, and read on; nothing when there is nothing."""
        data = bytes(memoryview(self._buffer)[: self._filled])
        was_full = self._filled == BUFFER
        self._filled = 0
        if not self._ended:
            self._news.clear()
            if was_full and self._transport is not None:
                self._transport.resume_reading()
        return data

    async def wait(self) -> bool:
        """Wait until something has come; False when it is over and nothing is left."""
        await self._news.wait()
        return bool(self._filled) or not self._ended

    def stop_reading(self) -> None:
        """Take no more from the peer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """Close the connection; a peer that does not answer is not waited for."""
        if self._transport is not None:
            if self._transport.get_extra_info("ssl_object") is None:
                self._transport.close()
            else:
                self._transport.abort()
