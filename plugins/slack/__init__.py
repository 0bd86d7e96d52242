"""Slack: alerts by rule, through an incoming webhook."""

from hub import DestinationType, Limits, hookimpl
from plugins.slack.config import SlackConfig
from plugins.slack.destination import Slack

_MAX_LINES = 50_000
_MAX_BYTES = 8_000_000


def _limits(config: SlackConfig) -> Limits:
    """Let lines wait, not acknowledged, until the next message is due."""
    return Limits(_MAX_LINES, _MAX_BYTES, linger=config.every)


@hookimpl
def isaax_destinations() -> list[DestinationType[SlackConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="slack",
            title="Slack",
            summary="Alerts by rule, one message at a time. Also Mattermost and Rocket.Chat.",
            config=SlackConfig,
            build=Slack,
            max_lines=_MAX_LINES,
            max_bytes=_MAX_BYTES,
            limits=_limits,
            examples=(
                {
                    "url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
                    "rules": [
                        {"name": "errors", "severity": "err"},
                        {"name": "logins refused", "regex": "(?i)permission denied", "at_least": 5},
                    ],
                    "every": 300,
                },
            ),
        )
    ]
