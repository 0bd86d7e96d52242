"""Better Stack: lines as compressed NDJSON, with a source's token."""

from hub import DestinationType, hookimpl
from plugins.betterstack.config import BetterStackConfig
from plugins.betterstack.destination import BetterStack


@hookimpl
def isaax_destinations() -> list[DestinationType[BetterStackConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="betterstack",
            title="Better Stack",
            summary="Better Stack Logs (Logtail): compressed NDJSON over HTTPS.",
            config=BetterStackConfig,
            build=BetterStack,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            max_bytes=2_000_000,
            examples=(
                {"token": "source-token"},
                {"token": "source-token", "url": "https://s1234567.eu-nbg-2.betterstackdata.com"},
            ),
        )
    ]
