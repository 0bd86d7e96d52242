"""What a user configures for Better Stack."""

import re
from typing import Final

import msgspec

from hub import HttpUrl, Secret, client_tls

_TOKEN: Final = re.compile(r"[!-~]{1,256}")


class BetterStackConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source of Better Stack.

    Args:
        token: source token.
        url: `https://` and the ingesting host, which Better Stack shows beside the token.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    token: Secret
    url: HttpUrl = "https://in.logs.betterstack.com"
    ca: str = ""

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError("token is of printable characters without spaces")
        if self.ca:
            client_tls(ca=self.ca)
