"""What a user configures for Loki."""

import base64
import re
from typing import Annotated, Final, Literal

import msgspec

from hub import HttpUrl, Secret, client_tls

_TOKEN: Final = re.compile(r"[!-~]{1,4096}")

Label = Literal["project", "device", "host", "stream", "program", "severity"]
LabelName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$(?!\n)")]
LabelText = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class LokiConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Loki server.

    Args:
        url: scheme, host and port; `/loki/api/v1/push` is added to it.
        tenant: `X-Scope-OrgID`, where Loki has several tenants.
        username: with `password`: basic authentication, as Grafana Cloud has it.
        password: of the user.
        token: bearer token, instead.
        labels: what tells streams apart. Loki keeps an index of them: add `program` or `severity`
            only where they take few values.
        static_labels: more labels, the same on every stream.
        metadata: give the line's id, and program and severity unless they are labels, as
            structured metadata. Loki 3 takes it by default, 2.9 by `allow_structured_metadata`.
        max_line: bytes of the longest line that the server takes (its `max_line_size`).
        gzip: compress the body.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    tenant: Annotated[
        str, msgspec.Meta(max_length=150, pattern=r"^[A-Za-z0-9!._*'()-]*$(?!\n)")
    ] = ""
    username: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[!-9;-~]*$(?!\n)")] = ""
    password: Secret = Secret("")
    token: Secret = Secret("")
    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1)] = (
        "project", "device", "host", "stream",
    )  # fmt: skip
    static_labels: Annotated[dict[LabelName, LabelText], msgspec.Meta(max_length=9)] = {}
    metadata: bool = True
    max_line: Annotated[int, msgspec.Meta(ge=1_024, le=4_000_000)] = 262_144
    gzip: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together")
        if self.token and self.password:
            raise ValueError("give either a token, or username and password")
        if self.token and not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError("token is of printable characters without spaces")
        if self.ca:
            client_tls(ca=self.ca)

    def headers(self) -> dict[str, str]:
        """Give the headers that say who sends, and for which tenant."""
        headers = {"Content-Type": "application/json"}
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        elif self.username:
            pair = f"{self.username}:{self.password.reveal()}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return headers
