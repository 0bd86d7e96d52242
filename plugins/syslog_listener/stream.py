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
from plugins.syslog_listener.connection import Connection
from plugins.syslog_listener.inlet import Inlet, PlainInlet
from plugins.syslog_listener.limits import Budget
from plugins.syslog_listener.meters import Drops, Meters
from plugins.syslog_listener.sink import Sink
from plugins.syslog_listener.tls import TlsInlet

_BACKLOG: Final = 512
_EXHAUSTED_PAUSE: Final = 0.5  # seconds without accepting when there are no file descriptors

_log = structlog.stdlib.get_logger(__name__)


class StreamListener:
    """Takes connections at one socket.

    Args:
        listening: the socket, bound.
        tls: for each handshake from now on; None for plain TCP.
        stop: set when the end begins; other listeners may end at the same time.
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
        drops: Drops,
        stop: asyncio.Event,
    ) -> None:
        self._name = name
        self._listening = listening
        self._sink = sink
        self._settings = settings
        self._tls = tls
        self._budget = Budget(settings.memory)
        self._places = ConnectionLimit(settings.connections, settings.connections_per_address)
        self._meters = meters
        self._drops = drops
        self._stop = stop
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
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._drops.tell()

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
                    await self._connection(inlet, peer).serve()
                finally:
                    inlet.cut_off()
        except Exception:  # noqa: BLE001 - one connection is not to end the others
            _log.exception("a connection failed", listener=self._name, peer=peer)
        finally:
            gauge.dec()
            self._places.leave(peer)

    def _connection(self, inlet: Inlet, peer: str) -> Connection:
        return Connection(
            inlet, peer, self._sink, self._budget,
            idle=self._settings.idle, stop=self._stop, drops=self._drops,
        )  # fmt: skip

    async def _open(self, raw: socket.socket, peer: str) -> Inlet | None:
        """Give what is to be read; None when shaking hands fails, or takes too long."""
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opening = asyncio.create_task(self._opened(raw))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return opening.result() if opening.done() else None
        except OSError as error:
            self._meters.refused.labels(self._name, "no handshake").inc()
            _log.info("no connection", listener=self._name, peer=peer, reason=explain(error, peer))
            return None
        finally:
            stopping.cancel()
            opening.cancel()
            await asyncio.wait({stopping, opening})

    async def _opened(self, raw: socket.socket) -> Inlet:
        loop = asyncio.get_running_loop()
        plain = PlainInlet(raw)
        try:
            # uvloop answers with another protocol than the one that it was given.
            await loop.connect_accepted_socket(lambda: plain, raw)
            if self._tls is None:
                return plain
            inlet = TlsInlet(plain, self._tls)
            async with asyncio.timeout(self._settings.handshake):
                await inlet.shake_hands()
        except BaseException:
            plain.close()
            raise
        return inlet
