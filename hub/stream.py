"""A TCP or TLS connection that is written to and never answered, as syslog is.

What counts is to know when it is gone: lines that were written and not yet taken are then sent
again. So the connection is watched while it is idle, a line that was written in part is never
continued, and an orderly end waits for the peer's.
"""

import asyncio
import fcntl
import ssl
import sys
import termios
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from hub.batches import Batch
from hub.destinations import Dialer
from hub.net import explain
from hub.outcomes import NotConnected
from hub.syslog import SyslogFormatter

PIECE: Final = 128 * 1024
"""Bytes that are handed to the transport at once, and held in memory at most while it stalls."""

CLOSE_TIMEOUT: Final = 10.0
"""Seconds that the peer has to end its side after we ended ours."""

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Open the connection; raises NotConnected or Retry."""


class _Connection:
    """One life of a connection, with a task that notices its end."""

    def __init__(
        self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.set_write_buffer_limits(high=PIECE)
        self._peer = peer
        self._reader = reader
        self._writer = writer
        self.lost = asyncio.Event()
        self.reason = f"{peer} closed the connection"
        self._broken = False
        self._watch = asyncio.create_task(self._notice_end())

    async def _notice_end(self) -> None:
        """Read, and discard, what the peer sends until it sends no more."""
        try:
            while await self._reader.read(PIECE):
                pass
        except (OSError, ssl.SSLError) as error:
            self.reason, self._broken = explain(error, self._peer), True
        self.lost.set()

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            for start in range(0, len(view), PIECE):
                if self.lost.is_set():
                    raise NotConnected(self.reason)
                self._writer.write(view[start : start + PIECE])
                await self._writer.drain()
        except OSError as error:
            raise NotConnected(explain(error, self._peer)) from error

    @property
    def under_way(self) -> int:
        """Bytes that the peer's system has not acknowledged: in the transport, and in the kernel.

        The kernel's are those that SIOCOUTQ counts, sent or not (tcp(7)).
        """
        waiting = self._writer.transport.get_write_buffer_size()
        raw = self._writer.get_extra_info("socket")
        if self.lost.is_set() or raw is None or raw.fileno() < 0:
            return waiting
        counted = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4))
        return waiting + int.from_bytes(counted, sys.byteorder)

    def abort(self, reason: str = "") -> None:
        """End it at once; the peer sees a reset, or a line that ends in the middle."""
        self.reason = reason or self.reason
        self._watch.cancel()
        self._writer.transport.abort()
        self.lost.set()

    async def end(self) -> None:
        """End our side in order and wait until the peer has read it all and ended its own."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
            await self.lost.wait()
            if self._broken:
                raise NotConnected(self.reason)
            self._writer.close()
        else:
            self._writer.close()  # TLS: close_notify goes out, and the peer's is waited for
        await self._writer.wait_closed()


class Stream:
    """A destination's connection: opened at need, watched, never continued after a failure.

    A loss is reported once: by `write` or `close` as NotConnected, or by `wait_lost` returning.
    The `write` after that opens a new connection. So look at `wait_lost` before the next `write`,
    and send again what was unconfirmed.

    Args:
        connect: opens the connection.
        peer: what errors call the other side, for example `logs.example.com:6514`.
        close_timeout: seconds that the peer has to end its side, see `close`.
    """

    def __init__(
        self, connect: Connect, peer: str, *, close_timeout: float = CLOSE_TIMEOUT
    ) -> None:
        self._connect = connect
        self._peer = peer
        self._close_timeout = close_timeout
        self._connection: _Connection | None = None
        self._opened = asyncio.Event()

    async def write(self, pieces: Iterable[bytes]) -> None:
        """Write pieces of whole lines; return when at most `PIECE` bytes wait in memory.

        When it fails, or is cancelled, the connection is dropped: the peer may have got a part.

        Raises:
            NotConnected, Retry: the connection was lost, or cannot be opened.
        """
        connection = self._connection or await self._open()
        try:
            # A fast peer never makes `drain` wait; this lets the loop see that it is gone.
            await asyncio.sleep(0)
            for piece in pieces:
                await connection.write(piece)
        except NotConnected:
            self._forget(connection)
            raise
        except BaseException:
            # Above all a time limit's cancellation. The loss stays to be reported.
            connection.abort("a batch was given up half-way")
            raise

    async def _open(self) -> _Connection:
        reader, writer = await self._connect()
        self._connection = _Connection(self._peer, reader, writer)
        self._opened.set()
        return self._connection

    def _forget(self, connection: _Connection) -> None:
        connection.abort()
        if self._connection is connection:
            self._connection = None
            self._opened.clear()

    @property
    def under_way(self) -> int:
        """Bytes that were written and that the peer's system has not acknowledged."""
        return 0 if self._connection is None else self._connection.under_way

    async def wait_lost(self) -> None:
        """Return when the connection is gone; while there is none, wait for one."""
        await self._opened.wait()
        connection = self._connection
        if connection is not None:
            await connection.lost.wait()
            self._forget(connection)

    async def close(self) -> None:
        """End the connection in order: when it returns, the peer has taken all that was written.

        Raises:
            NotConnected: it cannot be told whether it has.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.lost.is_set():
                raise NotConnected(connection.reason)
            async with asyncio.timeout(self._close_timeout):
                await connection.end()
        except TimeoutError:
            raise NotConnected(f"{self._peer} did not end the connection in time") from None
        except OSError as error:
            raise NotConnected(explain(error, self._peer)) from error
        finally:
            self._forget(connection)


def connector(
    dial: Dialer, host: str, port: int, tls: Callable[[], ssl.SSLContext] | None = None
) -> Connect:
    """Give what opens a connection to one host and port.

    Args:
        tls: makes the TLS context, once, at the first connection and beside the event loop:
            reading the system's authorities takes some 20 ms.
    """
    made: list[ssl.SSLContext] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if tls is None:
            return await dial.open_tcp(host, port)
        if not made:
            made.append(await asyncio.to_thread(tls))
        return await dial.open_tcp(host, port, tls=made[0])

    return connect


class SyslogStream:
    """A `TellingStream` that writes syslog messages to a stream."""

    def __init__(self, formatter: SyslogFormatter, stream: Stream) -> None:
        self._formatter = formatter
        self._stream = stream

    async def send(self, batch: Batch) -> None:
        """Write one batch; it counts as taken by the rules of the type's `Window`."""
        await self._stream.write(self._formatter.stream(batch))

    @property
    def under_way(self) -> int:
        """Bytes that were written and that the peer's system has not acknowledged."""
        return self._stream.under_way

    async def wait_lost(self) -> None:
        """Return when the connection is gone."""
        await self._stream.wait_lost()

    async def close(self) -> None:
        """End the connection in order."""
        await self._stream.close()
