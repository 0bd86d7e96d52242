"""E-mail: a digest of the lines that match a rule, through SMTP."""

from hub import DestinationType, Limits, hookimpl
from plugins.email.config import EmailConfig
from plugins.email.destination import TIMEOUT, Email

_MOST_LINES = 100_000
_MOST_BYTES = 8 * 1024 * 1024


def _limits(config: EmailConfig) -> Limits:
    """Let lines wait, unacknowledged, until their digest is due."""
    return Limits(_MOST_LINES, _MOST_BYTES, linger=float(config.every))


@hookimpl
def isaax_destinations() -> list[DestinationType[EmailConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="email",
            title="E-mail",
            summary="A digest of the lines that match a rule, through your SMTP server.",
            config=EmailConfig,
            build=Email,
            max_lines=_MOST_LINES,
            max_bytes=_MOST_BYTES,
            timeout=TIMEOUT,
            limits=_limits,
            examples=(
                {
                    "host": "smtp.example.com",
                    "username": "alerts",
                    "password": "correct horse battery staple",
                    "from": "alerts@example.com",
                    "to": ["ops@example.com"],
                    "rules": [
                        {"name": "errors", "severity": "err"},
                        {"name": "disk full", "regex": "(?i)no space left|disk full"},
                    ],
                },
            ),
        )
    ]
