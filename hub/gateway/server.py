"""The listening socket: bound with clear errors, and closed without cutting anyone off."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import Counter

from hub.errors import StartError
from hub.gateway.connection import Connection, Limits
from hub.settings import HttpSettings

_BACKLOG: Final = 512
_HANDSHAKE: Final = 10.0


class Listening(msgspec.Struct, frozen=True):
    """Where the gateway is.

    Args:
        port: the real one, where the setting is 0.
    """

    host: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


@asynccontextmanager
async def serving(
    app: web.Application,
    settings: HttpSettings,
    *,
    limits: Limits,
    refused: Counter,
    budget: float,
    on_drain: Callable[[], None],
) -> AsyncIterator[Listening]:
    """Serve the application while the context is open.

    Leaving it takes no new connection, calls `on_drain`, lets every request that is at work have
    its answer, and closes.

    Args:
        refused: counts what was no HTTP.
        budget: seconds that requests may still take at the end.

    Raises:
        StartError: names the setting that is wrong.
    """
    context = _tls(settings)
    runner = web.AppRunner(app, shutdown_timeout=budget, access_log=None)
    await runner.setup()
    server = runner.server
    if server is None:
        raise AssertionError("aiohttp makes the server in setup")
    loop = asyncio.get_running_loop()
    try:
        listener = await _listen(
            loop,
            lambda: Connection(server, limits, refused, loop=loop),
            settings,
            context,
        )
        try:
            bound = listener.sockets[0].getsockname()
            yield Listening(settings.host, bound[1], context is not None)
        finally:
            listener.close()
            on_drain()
    finally:
        await runner.cleanup()


async def _listen(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], Connection],
    settings: HttpSettings,
    context: ssl.SSLContext | None,
) -> asyncio.Server:
    where = f"{settings.host}:{settings.port}"
    try:
        return await loop.create_server(
            factory,
            settings.host,
            settings.port,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE if context else None,
            backlog=_BACKLOG,
        )
    except socket.gaierror as error:
        raise StartError(f"http.host: {settings.host!r} is no address: {error.strerror}") from None
    except OSError as error:
        raise StartError(_why(error, where)) from None
    except OverflowError:
        raise StartError(f"http.port: {settings.port} is not 0 to 65535") from None


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


def _tls(settings: HttpSettings) -> ssl.SSLContext | None:
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise StartError("http.certificate and http.key are set together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except ssl.SSLError as error:
        raise StartError(f"http.certificate, http.key: not a PEM pair: {error.reason}") from None
    except OSError as error:
        files = f"{settings.certificate}, {settings.key}"  # the ssl module does not say which
        raise StartError(f"http.certificate, http.key: {files}: {error.strerror}") from None
    return context
