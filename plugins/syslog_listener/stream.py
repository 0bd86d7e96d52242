"""Syslog over TCP and TLS: connections are read no faster than their lines reach the disk."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Final

import structlog

from hub import ConnectionLimit, explain
from plugins.syslog_listener.config import SyslogListenerSettings
from plugins.syslog_listener.framing import Frame, Framer
from plugins.syslog_listener.inlet import BUFFER, Inlet
from plugins.syslog_listener.limits import Budget
from plugins.syslog_listener.meters import Meters
from plugins.syslog_listener.sink import Sink

_BACKLOG: Final = 512
_ROOM: Final = 2 * BUFFER  # bytes that one reading takes: what was read, and the lines of it
_EXHAUSTED_PAUSE: Final = 0.5  # seconds without accepting when there are no file descriptors

_log = structlog.stdlib.get_logger(__name__)


class StreamListener:
    """Takes connections at one socket.

    Args:
        listening: the socket, bound.
        tls: for each handshake from now on; None for plain TCP.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        sink: Sink,
        settings: SyslogListenerSettings,
        *,
        tls: ssl.SSLContext | None,
        meters: Meters,
    ) -> None:
        self._name = name
        self._listening = listening
        self._sink = sink
        self._settings = settings
        self._tls = tls
        self._budget = Budget(settings.memory)
        self._places = ConnectionLimit(settings.connections, settings.connections_per_address)
        self._meters = meters
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Take connections; in the end, store what was read of each, and close them."""
        self._listening.listen(_BACKLOG)
        self._listening.setblocking(False)
        async with asyncio.TaskGroup() as group:  # without accepting, the service is to end
            accepting = group.create_task(self._accept(), name=f"syslog {self._name}")
            try:
                yield
            finally:
                accepting.cancel()
                self._listening.close()
                self._stop.set()
                await self._ended()

    async def _ended(self) -> None:
        """Wait until every connection has ended; when there is no time for that, end it."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                raw, address = await loop.sock_accept(self._listening)
            except OSError as error:  # above all: too many open files
                _log.warning("cannot accept", listener=self._name, reason=error.strerror)
                await asyncio.sleep(_EXHAUSTED_PAUSE)
                continue
            peer = str(address[0]).removeprefix("::ffff:")
            refusal = self._places.take(peer)
            if refusal:
                self._meters.refused.labels(self._name, refusal).inc()
                raw.close()
                continue
            task = asyncio.create_task(self._serve(raw, peer), name=f"syslog {self._name} {peer}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, raw: socket.socket, peer: str) -> None:
        """Serve one connection to its end."""
        gauge = self._meters.connections.labels(self._name)
        gauge.inc()
        try:
            inlet = await self._open(raw, peer)
            if inlet is not None:
                try:
                    await self._read(inlet, peer)
                finally:
                    inlet.close()
        except Exception:  # noqa: BLE001 - one connection is not to end the others
            _log.exception("a connection failed", listener=self._name, peer=peer)
        finally:
            gauge.dec()
            self._places.leave(peer)

    async def _open(self, raw: socket.socket, peer: str) -> Inlet | None:
        """Shake hands; None when that fails, or takes too long."""
        loop = asyncio.get_running_loop()
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        inlet = Inlet()  # uvloop answers with another protocol than the one that it was given
        opening = asyncio.create_task(
            loop.connect_accepted_socket(
                lambda: inlet,
                raw,
                ssl=self._tls,
                ssl_handshake_timeout=self._settings.handshake if self._tls else None,
            )
        )
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return None
            opening.result()
        except (OSError, ssl.SSLError) as error:
            self._meters.refused.labels(self._name, "no handshake").inc()
            _log.info("no connection", listener=self._name, peer=peer, reason=explain(error, peer))
            return None
        finally:
            stopping.cancel()
            opening.cancel()
            await asyncio.wait({stopping, opening})
            if opening.cancelled():
                inlet.close()
        return inlet

    async def _read(self, inlet: Inlet, peer: str) -> None:
        framer = Framer()
        while await self._has_come(inlet, peer):
            await self._store(framer, inlet, peer)
        inlet.stop_reading()
        await self._store(framer, inlet, peer, last=True)

    async def _has_come(self, inlet: Inlet, peer: str) -> bool:
        """Wait for bytes; False when there will be none, or none are wanted any more."""
        waiting = asyncio.create_task(inlet.wait())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait(
                {waiting, stopping},
                timeout=self._settings.idle,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.wait({waiting, stopping})
        if not done:
            _log.info("idle for too long", listener=self._name, peer=peer)
        return waiting in done and stopping not in done and waiting.result()

    async def _store(self, framer: Framer, inlet: Inlet, peer: str, *, last: bool = False) -> None:
        """Store what has come; with the budget's leave, and it is given back afterwards."""
        await self._budget.take(_ROOM)
        try:
            frames: list[Frame] = framer.feed(inlet.take())
            if last:
                frames += framer.finish()
            if frames:
                await self._sink.store(frames, peer)
        finally:
            self._budget.give(_ROOM)
