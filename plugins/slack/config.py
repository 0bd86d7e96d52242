"""What a user configures for Slack."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from hub import AlertRule, Secret, client_tls

_URL: Final = re.compile(r"https?://[^\s/?#@]+/[^\s#]+")


class SlackConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An incoming webhook, and what it is told.

    Args:
        url: of the webhook; whoever knows it can post, so it is kept secret.
        rules: a line counts for the first one that it matches; one that matches none is not told.
        every: seconds between two messages; what happens meanwhile is told in one.
        blocks: send Slack's blocks; false for Mattermost and Rocket.Chat, which take text.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: Secret
    rules: Annotated[tuple[AlertRule, ...], msgspec.Meta(min_length=1, max_length=20)]
    every: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    blocks: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url.reveal()):
            raise ValueError("url is the address of the webhook, with its path")
        if self.ca:
            client_tls(ca=self.ca)

    def hidden(self) -> tuple[str, ...]:
        """Give the parts of the address that nobody may see."""
        parts = urlsplit(self.url.reveal())
        return tuple(part for part in (parts.path, parts.query) if len(part) > 1)
