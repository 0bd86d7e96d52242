"""Where syslog messages go: a watched stream, or datagrams."""

import asyncio
from typing import Final

from hub import (
    Batch,
    Datagrams,
    Destination,
    Dialer,
    NotConnected,
    Stream,
    SyslogFormatter,
    SyslogStream,
    Tools,
    client_tls,
    connector,
)
from plugins.syslog.config import SyslogConfig

BURST: Final = 64
"""Datagrams that are sent before the event loop, and so the kernel, gets a turn."""


def build(config: SyslogConfig, tools: Tools) -> Destination:
    """Build the destination that the config asks for."""
    formatter = SyslogFormatter(config.style())
    if config.transport == "udp":
        return SyslogDatagrams(formatter, tools.dial, config.host, config.port)
    tls = None
    if config.transport == "tls":
        tls = lambda: client_tls(  # noqa: E731 - is called once, later
            ca=config.ca, certificate=config.client_certificate, key=config.client_key
        )
    connect = connector(tools.dial, config.host, config.port, tls)
    return SyslogStream(formatter, Stream(connect, f"{config.host}:{config.port}"))


class SyslogDatagrams:
    """Sends one datagram a line. A lost one is lost: UDP tells nobody.

    Only when the server's host says that nothing listens there (ICMP), that is reported, as the
    loss of the connection.
    """

    def __init__(self, formatter: SyslogFormatter, dial: Dialer, host: str, port: int) -> None:
        self._formatter = formatter
        self._dial = dial
        self._host = host
        self._port = port
        self._socket: tuple[asyncio.DatagramTransport, Datagrams] | None = None
        self._opened = asyncio.Event()

    async def send(self, batch: Batch) -> None:
        """Send a batch."""
        transport, state = self._socket or await self._open()
        for number, datagram in enumerate(self._formatter.datagrams(batch)):
            if number % BURST == 0:
                await asyncio.sleep(0)
                await state.drain()
            if state.error is not None:
                await self.close()
                raise NotConnected(f"nothing listens for UDP at {self._host}:{self._port}")
            transport.sendto(datagram)

    async def _open(self) -> tuple[asyncio.DatagramTransport, Datagrams]:
        transport = await self._dial.open_udp(self._host, self._port)
        state = transport.get_protocol()
        assert isinstance(state, Datagrams)
        self._socket = transport, state
        self._opened.set()
        return self._socket

    async def wait_lost(self) -> None:
        """Return when the server's host refused a datagram."""
        await self._opened.wait()
        if self._socket is not None:
            await self._socket[1].failed.wait()
            await self.close()

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket[0].close()
        self._socket = None
        self._opened.clear()
