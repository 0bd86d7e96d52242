"""Syslog: RFC 5424 and RFC 3164, over UDP, TCP and TLS."""

from hub import DestinationType, Window, hookimpl
from plugins.syslog.config import SyslogConfig
from plugins.syslog.destination import build


@hookimpl
def isaax_destinations() -> list[DestinationType[SyslogConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="syslog",
            title="Syslog server",
            summary="rsyslog, syslog-ng and whatever else takes RFC 5424 or RFC 3164 over the net.",
            config=SyslogConfig,
            build=build,
            max_bytes=512 * 1024,
            # More than both ends' kernels buffer for a connection (tcp_wmem, tcp_rmem).
            window=Window(size=12 * 1024 * 1024, age=60.0),
            examples=(
                {"host": "logs.example.com", "port": 6514},
                {"host": "10.0.0.5", "port": 514, "transport": "udp", "format": "rfc3164"},
            ),
        )
    ]
