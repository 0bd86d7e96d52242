"""A connected UDP socket as a destination writes to it: in bursts, and watched for refusals."""

import asyncio
from collections.abc import Iterable
from typing import Final

from hub.destinations import Dialer
from hub.net import Datagrams
from hub.outcomes import NotConnected

BURST: Final = 64
"""Datagrams that are sent before the event loop, and so the kernel, gets a turn."""


class DatagramSender:
    """Sends datagrams. A lost one is lost: UDP tells nobody.

    Only when the server's host says that nothing listens there (ICMP), that is reported, as the
    loss of the connection: by `send` as NotConnected, or by `wait_lost` returning.
    """

    def __init__(self, dial: Dialer, host: str, port: int) -> None:
        self._dial = dial
        self._host = host
        self._port = port
        self._socket: tuple[asyncio.DatagramTransport, Datagrams] | None = None
        self._opened = asyncio.Event()

    async def send(self, datagrams: Iterable[bytes]) -> None:
        """Send them, in order.

        Raises:
            NotConnected, Retry: there is no socket, or the peer's host refuses.
        """
        transport, state = self._socket or await self._open()
        for number, datagram in enumerate(datagrams):
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
