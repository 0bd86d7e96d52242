"""Papertrail: by its classic port, by a token over TLS, or by HTTPS."""

from hub import DestinationType, Window, hookimpl
from plugins.papertrail.config import PapertrailConfig
from plugins.papertrail.destination import build


@hookimpl
def isaax_destinations() -> list[DestinationType[PapertrailConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="papertrail",
            title="Papertrail",
            summary="Papertrail and SolarWinds Observability, over syslog with TLS or over HTTPS.",
            config=PapertrailConfig,
            build=build,
            max_bytes=512 * 1024,
            # For the syslog modes: more than both ends' kernels buffer (tcp_wmem, tcp_rmem).
            window=Window(size=12 * 1024 * 1024, age=60.0),
            examples=(
                {"mode": "classic", "host": "logs1.papertrailapp.com", "port": 12345},
                {"mode": "token", "region": "eu-01", "token": "your-ingestion-token"},
                {"mode": "https", "region": "na-01", "token": "your-ingestion-token"},
            ),
        )
    ]
