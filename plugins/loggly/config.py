"""What a user configures for Loggly."""

import re
from typing import Annotated, Final

import msgspec

from hub import HttpUrl, Secret, client_tls

_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{8,64}")

Tag = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
"""Loggly, "Tags": letters, digits, dash, period and underscore, at most 64 of them."""


class LogglyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Loggly account.

    Args:
        token: customer token, from Source Setup.
        tags: of every event: letters, digits, `-`, `.` and `_`.
        url: another address than Loggly's; https in production.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    token: Secret
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(min_length=1, max_length=20)] = ("isaax",)
    url: HttpUrl = "https://logs-01.loggly.com"
    ca: str = ""

    def __post_init__(self) -> None:
        # It becomes a part of the path.
        if not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError("token is 8 to 64 letters, digits and hyphens, as Loggly shows it")
        if self.ca:
            client_tls(ca=self.ca)

    @property
    def endpoint(self) -> str:
        """Address of the bulk endpoint; it holds the token, so it must not be shown."""
        return f"{self.url.rstrip('/')}/bulk/{self.token.reveal()}/tag/{','.join(self.tags)}/"
