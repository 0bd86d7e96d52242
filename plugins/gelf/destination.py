"""Where GELF messages go: HTTP, a watched stream, or datagrams.

https://go2docs.graylog.org/current/getting_in_log_data/gelf_format.html and gelf_inputs.html
"""

import secrets
import zlib
from collections.abc import Iterator
from typing import Final

from hub import (
    Batch,
    DatagramSender,
    Destination,
    Partial,
    Stream,
    Tools,
    client_tls,
    connector,
    gzipped,
)
from plugins.gelf.config import GelfConfig
from plugins.gelf.http import GelfHttp
from plugins.gelf.message import messages

CHUNKS: Final = 128
"""The most that one message may be sent in."""

_MAGIC: Final = b"\x1e\x0f"
_HEADER_BYTES: Final = 12  # magic, 8 bytes of message id, number and count of chunks
_PIECE: Final = 500


def build(config: GelfConfig, tools: Tools) -> Destination:
    """Build the destination that the config asks for."""
    if config.transport == "http":
        return GelfHttp(config, tools)
    if config.transport == "udp":
        return GelfDatagrams(config, DatagramSender(tools.dial, config.host, config.port))
    tls = None
    if config.transport == "tls":
        tls = lambda: client_tls(  # noqa: E731 - is called once, later
            ca=config.ca, certificate=config.client_certificate, key=config.client_key
        )
    connect = connector(tools.dial, config.host, config.port, tls)
    return GelfStream(Stream(connect, f"{config.host}:{config.port}"))


class GelfStream:
    """Writes messages to a connection, each ended by a NUL; they cannot be compressed."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def send(self, batch: Batch) -> None:
        """Write one batch; it counts as taken by the rules of the type's `Window`."""
        await self._stream.write(_pieces(messages(batch)))

    @property
    def under_way(self) -> int:
        """Bytes that were written and that the peer's system has not acknowledged."""
        return self._stream.under_way

    async def wait_lost(self) -> None:
        """Return when the connection is gone."""
        await self._stream.wait_lost()

    async def close(self) -> None:
        """End the connection in order."""
        await self._stream.close()


def _pieces(items: list[bytes]) -> Iterator[bytes]:
    for start in range(0, len(items), _PIECE):
        yield b"\0".join([*items[start : start + _PIECE], b""])


class GelfDatagrams:
    """Sends a message as a datagram, or as the chunks of one."""

    def __init__(self, config: GelfConfig, sender: DatagramSender) -> None:
        self._config = config
        self._sender = sender

    async def send(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            Partial: a message takes more than `CHUNKS` chunks; the others were sent.
        """
        payloads = [_compressed(item, self._config.compression) for item in messages(batch)]
        most = CHUNKS * (self._config.datagram - _HEADER_BYTES)
        refused = [
            (index, f"the message takes {len(payload)} bytes; {most} fit into {CHUNKS} chunks")
            for index, payload in enumerate(payloads)
            if len(payload) > most
        ]
        await self._sender.send(
            datagram
            for payload in payloads
            if len(payload) <= most
            for datagram in chunks(payload, self._config.datagram)
        )
        if refused:
            raise Partial(rejected=refused)

    async def wait_lost(self) -> None:
        """Return when the server's host refused a datagram."""
        await self._sender.wait_lost()

    async def close(self) -> None:
        """Close the socket."""
        await self._sender.close()


def chunks(payload: bytes, longest: int) -> list[bytes]:
    """Cut a message into the chunks that it is sent in; one that fits is sent as it is.

    Args:
        longest: bytes of a datagram.
    """
    if len(payload) <= longest:
        return [payload]
    room = longest - _HEADER_BYTES
    starts = range(0, len(payload), room)
    identifier = secrets.token_bytes(8)
    return [
        b"%b%b%c%c%b" % (_MAGIC, identifier, number, len(starts), payload[start : start + room])
        for number, start in enumerate(starts)
    ]


def _compressed(item: bytes, compression: str) -> bytes:
    match compression:
        case "gzip":
            return gzipped(item)
        case "zlib":
            return zlib.compress(item, 1)
        case _:
            return item
