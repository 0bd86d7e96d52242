"""Where syslog messages go: a watched stream, or datagrams."""

from hub import (
    Batch,
    DatagramSender,
    Destination,
    Stream,
    SyslogFormatter,
    SyslogStream,
    Tools,
    client_tls,
    connector,
)
from plugins.syslog.config import SyslogConfig


def build(config: SyslogConfig, tools: Tools) -> Destination:
    """Build the destination that the config asks for."""
    formatter = SyslogFormatter(config.style())
    if config.transport == "udp":
        sender = DatagramSender(tools.dial, config.host, config.port)
        return SyslogDatagrams(formatter, sender)
    tls = None
    if config.transport == "tls":
        tls = lambda: client_tls(  # noqa: E731 - is called once, later
            ca=config.ca, certificate=config.client_certificate, key=config.client_key
        )
    connect = connector(tools.dial, config.host, config.port, tls)
    return SyslogStream(formatter, Stream(connect, f"{config.host}:{config.port}"))


class SyslogDatagrams:
    """Sends one datagram a line. A lost one is lost: UDP tells nobody."""

    def __init__(self, formatter: SyslogFormatter, sender: DatagramSender) -> None:
        self._formatter = formatter
        self._sender = sender

    async def send(self, batch: Batch) -> None:
        """Send a batch."""
        await self._sender.send(self._formatter.datagrams(batch))

    async def wait_lost(self) -> None:
        """Return when the server's host refused a datagram."""
        await self._sender.wait_lost()

    async def close(self) -> None:
        """Close the socket."""
        await self._sender.close()
