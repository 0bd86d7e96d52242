"""ntfy (https://ntfy.sh): log lines as notifications on a phone.

Format: a POST of JSON to the server's root (https://docs.ntfy.sh/publish/#publish-as-json), one for
each notification, with a bearer token where the topic is protected. 429 means: later.
"""

from typing import Annotated

import msgspec
from hub import (
    Batch,
    DestinationType,
    HttpTarget,
    Limits,
    Line,
    Piece,
    PieceLimits,
    Secret,
    Tools,
    hookimpl,
    push_pieces,
)

MOST = 4096  # bytes of a message; ntfy makes a longer one an attachment
ONE_EACH = PieceLimits(max_items=1, max_bytes=64 * 1024, max_item_bytes=32 * 1024)
LEVELS = (5, 5, 5, 4, 3, 3, 2, 1)  # ntfy's priority (5 is the highest) by syslog's severity


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where notifications go.

    Args:
        topic: that phones are subscribed to.
        url: of the server.
        token: an access token, where the topic is protected.
    """

    topic: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    url: str = "https://ntfy.sh/"
    token: Secret = Secret("")


class Ntfy:
    """Publishes one notification for each line."""

    def __init__(self, config: Config, tools: Tools) -> None:
        token = config.token.reveal()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._topic = config.topic
        self._target = HttpTarget(tools, config.url, headers=headers)

    async def send(self, batch: Batch) -> None:
        """Publish a batch's lines in order; where it is stopped, the rest comes again."""
        items = [self._notification(line) for line in batch]
        await push_pieces(items, ONE_EACH, self._publish)

    async def close(self) -> None:
        """Nothing is held."""

    def _notification(self, line: Line) -> bytes:
        notification = {
            "topic": self._topic,
            "title": f"{line.program} on {line.host}",
            "message": line.message.encode()[:MOST].decode(errors="ignore") or "(an empty line)",
            "priority": LEVELS[line.priority & 7],
        }
        return msgspec.json.encode(notification)

    async def _publish(self, piece: Piece) -> None:
        answer = await self._target.push(piece.items[0])
        answer.check()


@hookimpl
def isaax_destinations() -> list[DestinationType[Config]]:
    """Declare the destination."""
    return [
        DestinationType(
            "ntfy",
            "ntfy",
            Config,
            Ntfy,
            summary="Notifications on your phone; filter well, it is no place for all lines.",
            limits=lambda _config: Limits(max_lines=20, linger=1.0),
            examples=({"topic": "pumps", "token": "tk_an_example"},),
        )
    ]
