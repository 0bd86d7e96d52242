"""The service `syslog_listener`: all listeners of `hub.toml`, from start to drain."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from hub import Ingest, Metrics, ServerCertificate, StartError
from plugins.syslog_listener.config import Listener, SyslogListenerSettings
from plugins.syslog_listener.datagrams import DatagramListener
from plugins.syslog_listener.meters import Drops, Meters
from plugins.syslog_listener.sink import Sink
from plugins.syslog_listener.stream import StreamListener

_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def syslog_listener(
    settings: SyslogListenerSettings, ingest: Ingest, metrics: Metrics
) -> AsyncIterator[dict[str, int]]:
    """Listen; yield the port of each listener by its name.

    Raises:
        StartError: an address or a certificate cannot be used.
    """
    meters = Meters.of(metrics)
    ports: dict[str, int] = {}
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        for name, listener in settings.listeners.items():
            bound = _bind(name, listener)
            stack.callback(bound.close)
            ports[name] = bound.getsockname()[1]
            drops = Drops(name, meters.dropped)
            sink = Sink(name, listener, ingest, drops, meters.lines.labels(name).inc)
            if listener.transport == "udp":
                datagrams = DatagramListener(name, bound, sink, drops, queue=settings.udp_queue)
                await stack.enter_async_context(datagrams.serving())
            else:
                tls = None
                if listener.certificate is not None and listener.key is not None:
                    files = ServerCertificate(listener.certificate, listener.key)
                    tls = await stack.enter_async_context(files.following())
                    # A peer that reads nothing, and closes, breaks off when something has come for
                    # it: what it sent last would be lost for a ticket that it never uses.
                    tls.num_tickets = 0
                stream = StreamListener(
                    name, bound, sink, settings,
                    tls=tls, meters=meters, drops=drops, stop=stop,
                )  # fmt: skip
                await stack.enter_async_context(stream.serving())
            _log.info(
                "listening", listener=name, transport=listener.transport,
                host=listener.host, port=ports[name],
            )  # fmt: skip
        stack.callback(stop.set)  # before any of them is waited for
        yield ports


def _bind(name: str, listener: Listener) -> socket.socket:
    kind = socket.SOCK_DGRAM if listener.transport == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.host == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((listener.host, listener.port))
    except OSError as error:
        bound.close()
        raise StartError(
            f"syslog_listener.listeners.{name}: cannot listen at {listener.host} port "
            f"{listener.port}: {error.strerror}"
        ) from error
    return bound
