"""GELF: Graylog's own format, over HTTP, TCP, TLS or UDP."""

from hub import DestinationType, Window, hookimpl
from plugins.gelf.config import GelfConfig
from plugins.gelf.destination import build


@hookimpl
def isaax_destinations() -> list[DestinationType[GelfConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="gelf",
            title="GELF (Graylog)",
            summary="Graylog and what else takes GELF 1.1, over HTTP, TCP, TLS or UDP.",
            config=GelfConfig,
            build=build,
            limits=GelfConfig.limits,
            timeout=60.0,
            # For TCP and TLS: more than both ends' kernels buffer (tcp_wmem, tcp_rmem).
            window=Window(size=12 * 1024 * 1024, age=60.0),
            examples=(
                {"transport": "tls", "host": "graylog.example.com", "port": 12201},
                {"transport": "http", "url": "https://graylog.example.com:12202/gelf"},
                {"transport": "udp", "host": "graylog.example.com", "datagram": 1420},
            ),
        )
    ]
