"""What a user configures for Elasticsearch or OpenSearch."""

import base64
import re
from typing import Annotated, Final

import msgspec

from hub import HttpUrl, Secret, client_tls

_TOKEN: Final = re.compile(r"[!-~]{1,4096}")

IndexName = Annotated[
    str,
    msgspec.Meta(
        max_length=200, pattern=r"^(?!\.{1,2}$)(?![-_+])([a-z0-9._+-]|%Y|%m|%d|%H)+$(?!\n)"
    ),
]
"""What both allow in a name ("Create index": lower case, no `\\/*?"<>| ,#:`, no `-_+` first)."""


class ElasticsearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster, and where in it lines go.

    Args:
        url: `https://`, host and port; `/_bulk` is added to it.
        index: name of an index or data stream. `%Y`, `%m`, `%d` and `%H` stand for year, month,
            day and hour of the line in UTC.
        api_key: encoded API key, as Elasticsearch shows it.
        username: with `password`, instead.
        password: of the user.
        token: bearer token, instead.
        pipeline: ingest pipeline to run.
        gzip: compress the body.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    index: IndexName = "logs-isaax-default"
    api_key: Secret = Secret("")
    username: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[!-9;-~]*$(?!\n)")] = ""
    password: Secret = Secret("")
    token: Secret = Secret("")
    pipeline: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[A-Za-z0-9@._-]*$(?!\n)")] = ""
    gzip: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together")
        if sum(map(bool, (self.api_key, self.password, self.token))) > 1:
            raise ValueError("give one of api_key, token, or username and password")
        for secret in (self.api_key, self.token):
            if secret and not _TOKEN.fullmatch(secret.reveal()):
                raise ValueError("api_key and token are of printable characters without spaces")
        if self.ca:
            client_tls(ca=self.ca)

    def authorization(self) -> dict[str, str]:
        """Give the header that says who sends."""
        if self.api_key:
            return {"Authorization": f"ApiKey {self.api_key.reveal()}"}
        if self.token:
            return {"Authorization": f"Bearer {self.token.reveal()}"}
        if self.username:
            pair = f"{self.username}:{self.password.reveal()}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        return {}
