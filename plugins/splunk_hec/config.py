"""What a user configures for Splunk's HTTP Event Collector."""

import re
from typing import Annotated, Final

import msgspec

from hub import HttpUrl, Secret, client_tls

_TOKEN: Final = re.compile(r"[!-~]{1,256}")

Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[A-Za-z0-9_:.@-]*$(?!\n)")]


class SplunkHecConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP Event Collector.

    Args:
        url: `https://`, host and port; `/services/collector/…` is added to it.
        token: of the collector.
        index: by default the token's own.
        sourcetype: of every event.
        source: of every event; by default the stream: `app`, `sys` or `agent`.
        acknowledge: count lines as taken only when Splunk has indexed them. The token must have
            indexer acknowledgement enabled (`useACK`).
        acknowledge_within: seconds to wait for that before the lines are sent again.
        gzip: compress the body.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    token: Secret
    index: Name = ""
    sourcetype: Name = "isaax"
    source: Name = ""
    acknowledge: bool = False
    acknowledge_within: Annotated[float, msgspec.Meta(ge=1, le=100)] = 60.0
    gzip: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError("token is of printable characters without spaces")
        if self.ca:
            client_tls(ca=self.ca)

    def endpoint(self, name: str) -> str:
        """Give the address of one of the collector's endpoints."""
        return f"{self.url.rstrip('/')}/services/collector/{name}"
