"""The socket that paho-mqtt believes to have, over an asyncio transport.

paho connects with blocking calls (name lookup, TCP, TLS) and reads byte by byte from its socket.
Given one of ours it does neither: asyncio (or uvloop) connects and does TLS, what comes in is read
from memory, and what goes out in one turn of the loop leaves in one write.
"""

import asyncio
from typing import Any, Final, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

WRITE_BUFFER: Final = 1024 * 1024  # bytes that wait for the network before paho has to
LINGER_SECONDS: Final = 2.0


class Wire(asyncio.Protocol):
    """One connection to the broker: a transport on one side, paho's socket on the other.

    Args:
        client: which reads from it.
    """

    def __init__(self, client: "WiredClient") -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._chunk = b""
        self._position = 0
        self._ended = False
        self._paused = False
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.lingers = False
        """Leave it to the broker to close: it does so when it has read all, DISCONNECT included."""
        self.closed: Final[asyncio.Future[None]] = self._loop.create_future()

    # ── what asyncio calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Let paho take every whole packet there is."""
        rest = self._chunk[self._position :]
        self._chunk = rest + data if rest else data
        self._position = 0
        while self._position < len(self._chunk) and not self.closed.done():
            if self._client.loop_read() != paho.MQTT_ERR_SUCCESS:
                break

    def connection_lost(self, error: Exception | None) -> None:
        """Let paho find the end of the stream."""
        self._ended = True
        if not self.closed.done():
            self._client.loop_read()
        self._close()

    def pause_writing(self) -> None:
        """Stop: the network does not keep up."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._client.loop_write()

    # ── what paho calls: its `SocketLike` ──

    def recv(self, buffer_size: int) -> bytes:
        """Give up to so many bytes of what has come."""
        data = self._chunk[self._position : self._position + buffer_size]
        if not data and not self._ended:
            raise BlockingIOError
        self._position += len(data)
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        """Take all of it, to be sent at the end of this turn of the loop."""
        if self._paused:
            raise BlockingIOError
        if not self._outgoing:
            self._loop.call_soon(self._send_now)
        self._outgoing.append(bytes(buffer))
        return len(buffer)

    def close(self) -> None:
        """End the connection, after what was sent."""
        self._send_now()
        if self.lingers and not self._ended:
            self._loop.call_later(LINGER_SECONDS, self._close)
        else:
            self._close()

    def fileno(self) -> int:
        """Say that there is no descriptor to wait on."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Do nothing: we never block."""

    def acknowledge(self, mid: int) -> None:
        """Send the PUBACK of a message that came over this connection, if it still stands."""
        if not self.closed.done():
            self._client.ack(mid, 1)

    def _send_now(self) -> None:
        if self._outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _close(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if self._transport is not None:
            self._transport.close()


class WiredClient(paho.Client):
    """paho's client over a `Wire` that somebody else has connected."""

    def __init__(self, client_id: str, *, clean: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=clean,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,  # else it reconnects by itself, blocking
            manual_ack=True,
        )
        self.max_inflight_messages_set(0)  # its window costs a scan of all messages at each ack
        self.max_queued_messages_set(0)
        self.on_socket_register_write = self._write_soon
        self.wire: Wire | None = None

    def attach(self, wire: Wire) -> None:
        """Say CONNECT over a fresh connection."""
        self.wire = wire
        self.reconnect()

    def _create_socket(self) -> Any:
        # The one hook that paho 2 has for a connection that is made elsewhere.
        if self.wire is None:
            raise ConnectionError("not attached")
        return self.wire

    def _write_soon(self, *_: object) -> None:
        asyncio.get_running_loop().call_soon(self.loop_write)
