"""The server: HTTP or HTTPS at its address, and an end that cuts nobody off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from aiohttp import web

from hub.certificate import ServerCertificate
from hub.connection_limit import ConnectionLimit
from hub.errors import StartError
from hub.gateway.accepting import Accepting, bind
from hub.gateway.connection import Connection, Limits
from hub.gateway.peer import Peers
from hub.settings import HttpSettings
from hub.telemetry import Metrics


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
    peers: Peers,
    metrics: Metrics,
    budget: float,
    look: float,
    on_drain: Callable[[], None],
) -> AsyncIterator[Listening]:
    """Serve the application while the context is open.

    Leaving it takes no new connection, calls `on_drain`, lets every request that is at work have
    its answer, and closes.

    Args:
        budget: seconds that requests may still take at the end.
        look: seconds between two looks at the certificate's files.

    Raises:
        StartError: names the setting that is wrong.
    """
    certificate = _certificate(settings)
    refused = metrics.counter(
        "isaax_http_refused_total", "Connections, and what came, that was not let in.", ("reason",)
    )
    runner = web.AppRunner(app, shutdown_timeout=budget, access_log=None)
    await runner.setup()
    server = runner.server
    if server is None:
        raise AssertionError("aiohttp makes the server in setup")
    loop = asyncio.get_running_loop()
    accepting = Accepting(
        lambda: Connection(server, limits, refused, loop=loop),
        ConnectionLimit(settings.connections, settings.connections_per_address),
        tls=certificate.context if certificate else None,
        trusts=peers.trusts,
        refused=refused,
        open_connections=metrics.gauge("isaax_http_connections", "Connections that are open."),
    )
    try:
        async with AsyncExitStack() as stack:
            stack.callback(on_drain)
            if certificate is not None:
                await stack.enter_async_context(certificate.following(every=look))
            sockets = await bind(settings.host, settings.port)
            await stack.enter_async_context(accepting.at(sockets))
            port = sockets[0].getsockname()[1]
            yield Listening(settings.host, port, certificate is not None)
    finally:
        await runner.cleanup()


def _certificate(settings: HttpSettings) -> ServerCertificate | None:
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise StartError("http.certificate and http.key are set together")
    try:
        certificate = ServerCertificate(settings.certificate, settings.key)
    except StartError as error:
        raise StartError(f"http.certificate, http.key: {error.detail}") from None
    certificate.context.set_alpn_protocols(["http/1.1"])
    return certificate
