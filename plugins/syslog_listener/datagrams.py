"""Syslog over UDP: what comes faster than it can be stored waits, and beyond that is dropped."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from plugins.syslog_listener.framing import Frame
from plugins.syslog_listener.meters import NO_TIME, Drops
from plugins.syslog_listener.parse import MAX_MESSAGE
from plugins.syslog_listener.sink import Sink

_AT_ONCE: Final = 1_000  # datagrams that are stored together
_OVERHEAD: Final = 200  # bytes that one takes in memory besides its own
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024  # bytes that the kernel is asked to hold


class DatagramListener(asyncio.DatagramProtocol):
    """Takes datagrams at one socket.

    Args:
        listening: the socket, bound.
        queue: bytes of datagrams that wait at most.
    """

    def __init__(
        self, name: str, listening: socket.socket, sink: Sink, drops: Drops, *, queue: int
    ) -> None:
        self._name = name
        self._listening = listening
        self._sink = sink
        self._drops = drops
        self._most = queue
        self._size = 0
        self._count = 0  # that wait, or are being stored
        self._queue: deque[tuple[Frame, str]] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Take datagrams; in the end, store those that wait."""
        self._listening.setblocking(False)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._listening)
        async with asyncio.TaskGroup() as group:  # without storing, the service is to end
            storing = group.create_task(self._store(), name=f"syslog {self._name}")
            try:
                yield
            finally:
                transport.close()
                try:
                    if not storing.done():
                        await self._idle.wait()
                finally:
                    storing.cancel()
                    self._drops.add(NO_TIME, self._count)
                    self._drops.tell()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Queue a datagram, if there is room."""
        size = len(data) + _OVERHEAD
        if self._size + size > self._most:
            self._drops.add("the queue is full")
            return
        self._size += size
        self._count += 1
        peer = str(addr[0]).removeprefix("::ffff:")
        self._queue.append(((data[:MAX_MESSAGE], len(data)), peer))
        self._idle.clear()
        self._news.set()

    async def _store(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                count = min(len(self._queue), _AT_ONCE)
                frames = [self._queue.popleft() for _ in range(count)]
                await self._sink.store_or_drop(frames)
                # Only now: what is being stored takes its place as well.
                self._size -= sum(size + _OVERHEAD for (_, size), _ in frames)
                self._count -= count
            self._idle.set()
