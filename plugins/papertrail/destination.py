"""Where lines for Papertrail go: syslog over TLS, or HTTPS with a confirmation."""

import ssl

from hub import (
    Batch,
    Destination,
    Stream,
    SyslogFormatter,
    SyslogStream,
    Tools,
    client_tls,
    connector,
    post,
)
from plugins.papertrail.config import PapertrailConfig


def build(config: PapertrailConfig, tools: Tools) -> Destination:
    """Build the destination that the config's mode asks for."""
    formatter = SyslogFormatter(config.style())
    if config.mode == "https":
        return PapertrailHttps(config, formatter, tools)
    host, port = config.address
    connect = connector(tools.dial, host, port, lambda: client_tls(ca=config.ca))
    return SyslogStream(formatter, Stream(connect, f"{host}:{port}"))


class PapertrailHttps:
    """Posts a batch as syslog messages, one a line, to the bulk endpoint."""

    def __init__(self, config: PapertrailConfig, formatter: SyslogFormatter, tools: Tools) -> None:
        self._config = config
        self._formatter = formatter
        self._tools = tools
        self._tls: ssl.SSLContext | None = None

    async def send(self, batch: Batch) -> None:
        """Push one batch; Papertrail has taken it when this returns."""
        if self._config.ca and self._tls is None:
            self._tls = client_tls(ca=self._config.ca)
        answer = await post(
            self._tools.http,
            self._config.endpoint,
            b"".join(self._formatter.stream(batch)),
            headers={
                "Authorization": f"Bearer {self._config.token.reveal()}",
                "Content-Type": "application/octet-stream",
            },
            tls=self._tls,
        )
        answer.check()

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""
