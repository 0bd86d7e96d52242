"""Takes connections: bound with clear errors, so many at once, and so many of one address."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from hub.connection_limit import ConnectionLimit
from hub.errors import StartError
from hub.gateway.connection import Connection
from hub.net import notice_dead_peer

_BACKLOG: Final = 512
_HANDSHAKE: Final = 10.0  # seconds
_EXHAUSTED_PAUSE: Final = 0.5  # seconds without accepting when there are no file descriptors

_log = structlog.stdlib.get_logger(__name__)


async def bind(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of a host.

    Raises:
        StartError: names the setting that is wrong.
    """
    if not 0 <= port <= 65_535:
        raise StartError(f"http.port: {port} is not 0 to 65535")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "not a name"
        raise StartError(f"http.host: {host!r} is no address: {words}") from None
    with contextlib.ExitStack() as stack:
        bound = []
        for family, _, _, _, address in dict.fromkeys(found):
            raw = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                raw.bind(address)
                raw.listen(_BACKLOG)
            except OSError as error:
                raise StartError(_why(error, f"{host}:{port}")) from None
            bound.append(raw)
        stack.pop_all()
    return bound


def _why(error: OSError, where: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"http.port: {where} is taken; stop what listens there, or choose another port"
        case errno.EACCES:
            return f"http.port: {where} may not be used by this user; choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"http.host: {where} is not an address of this machine"
        case _:
            return f"http.host, http.port: cannot listen at {where}: {error.strerror}"


class Accepting:
    """Takes connections at some sockets.

    Args:
        make: the protocol of a connection.
        tls: for each handshake from now on; None for plain TCP.
        trusts: says of an address whether it is a proxy that passes on many clients.
        refused: counts, by reason, who was not let in; `open_connections` those who are.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        limit: ConnectionLimit,
        *,
        tls: ssl.SSLContext | None,
        trusts: Callable[[str], bool],
        refused: Counter,
        open_connections: Gauge,
    ) -> None:
        self._make = make
        self._limit = limit
        self._tls = tls
        self._trusts = trusts
        self._refused = refused
        self._open = open_connections
        self._opening: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def at(self, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
        """Take connections while the context is open; leaving it closes the sockets."""
        tasks = [asyncio.create_task(self._accept(raw), name="http accept") for raw in sockets]
        try:
            yield
        finally:
            for task in (*tasks, *self._opening):
                task.cancel()
            await asyncio.wait({*tasks, *self._opening})
            for raw in sockets:
                raw.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                raw, address = await loop.sock_accept(listening)
            except OSError as error:  # above all: too many open files
                _log.warning("cannot accept", reason=error.strerror)
                await asyncio.sleep(_EXHAUSTED_PAUSE)
                continue
            peer = str(address[0]).removeprefix("::ffff:")
            refusal = self._limit.take(peer, trusted=self._trusts(peer))
            if refusal:
                self._refused.labels(refusal.replace(" ", "-")).inc()
                raw.close()
                continue
            task = asyncio.create_task(self._open_connection(raw, peer), name=f"http {peer}")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_connection(self, raw: socket.socket, peer: str) -> None:
        """Shake hands, and leave the rest to the protocol; it gives its place back in the end."""
        connection = self._make()
        self._open.inc()
        connection.gone.add_done_callback(lambda _: self._leave(peer))
        try:
            raw.setblocking(False)
            notice_dead_peer(raw)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                raw,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE if self._tls else None,
            )
        except OSError:  # no handshake, or gone before it; an SSLError is one
            self._refused.labels("no-handshake").inc()
            connection.lose()
        except BaseException:
            connection.lose()
            raise

    def _leave(self, peer: str) -> None:
        self._open.dec()
        self._limit.leave(peer)
