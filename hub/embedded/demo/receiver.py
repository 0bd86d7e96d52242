"""A TLS syslog server that stands for Papertrail in the demo: RFC 5424, a line feed at the end."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

from hub.embedded.demo.tally import Message, NotSyslogError, Tally, parse
from hub.embedded.tls import ServerFiles

LONGEST: Final = 128 * 1024


class Receiver:
    """Takes messages of any number of connections.

    Args:
        show: called with each message.
    """

    def __init__(self, show: Callable[[Message], None]) -> None:
        self._show = show
        self._connections: set[asyncio.StreamWriter] = set()
        self.tally: Final = Tally()

    @contextlib.asynccontextmanager
    async def listen(self, files: ServerFiles) -> AsyncIterator[int]:
        """Serve while the context is open, and give the port."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(files.certificate, files.key)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls, limit=LONGEST)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self._connections:
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while line := await reader.readline():
                self._take(line)
        except (OSError, ValueError):  # a reset connection, or a line over the limit
            self.tally.malformed += 1
        finally:
            self._connections.discard(writer)
            writer.close()

    def _take(self, line: bytes) -> None:
        try:
            message = parse(line.removesuffix(b"\n"))
        except NotSyslogError:
            self.tally.malformed += 1
            return
        self.tally.add(message)
        self._show(message)
