"""The service `http_listener`: a server of its own, from start to drain."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from hub import Ingest, Metrics, ServerCertificate, StartError
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.door import Door
from plugins.http_listener.handlers import Handlers

_DRAIN: Final = 20.0  # seconds that requests may still take at the end
_LINGER: Final = 5.0  # seconds for which the rest of a refused body is read

_log = structlog.stdlib.get_logger(__name__)


@contextlib.asynccontextmanager
async def http_listener(
    settings: HttpListenerSettings, ingest: Ingest, metrics: Metrics
) -> AsyncIterator[int | None]:
    """Listen; yield the port, or None when the config has none.

    In the end no connection is taken any more, and every request that is at work is answered.

    Raises:
        StartError: the address or the certificate cannot be used.
    """
    if settings.port is None:
        yield None
        return
    handlers = Handlers(
        settings,
        Door(settings, ingest),
        metrics.counter("isaax_http_listener_lines_total", "Lines that were stored.", ("form",)),
        metrics.counter(
            "isaax_http_listener_refused_total",
            "Requests that were refused.",
            ("form", "status"),
        ),
    )
    application = web.Application()
    application.router.add_post("/v1/lines", handlers.post_lines)
    application.router.add_post("/v1/logs", handlers.post_logs)
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=_DRAIN,
        auto_decompress=False,
        # aiohttp's own is an hour, also for a connection that has not sent a whole head yet.
        keepalive_timeout=settings.idle_timeout,
        lingering_time=_LINGER,
    )
    async with contextlib.AsyncExitStack() as stack:
        tls = None
        if settings.certificate is not None and settings.key is not None:
            files = ServerCertificate(settings.certificate, settings.key)
            tls = await stack.enter_async_context(files.following())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.host, settings.port, ssl_context=tls).start()
        except OSError as error:
            raise StartError(
                f"http_listener: cannot listen at {settings.host} port {settings.port}: "
                f"{error.strerror}"
            ) from error
        port: int = runner.addresses[0][1]
        _log.info("listening", host=settings.host, port=port, secure=tls is not None)
        yield port
