"""What a user configures for Papertrail."""

import re
from typing import Annotated, Final, Literal

import msgspec

from hub import Secret, SyslogStyle, client_tls

MAX_MESSAGE: Final = 99_990
"""Bytes: Papertrail takes 100,000 a message, its own sender (remote_syslog2) cuts at this."""

TOKEN_ELEMENT: Final = "@41058"  # noqa: S105 - SolarWinds' enterprise number, no secret
_TOKEN: Final = re.compile(r"[!#-<>-\\^-~]{1,256}")


class PapertrailConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Papertrail log destination.

    Args:
        mode: `classic`: a host and port of your own; `token`: syslog over TLS with a token;
            `https`: syslog messages over HTTPS with a token, each batch confirmed.
        host: of `classic` such as logs1.papertrailapp.com; for `token` the region's by default.
        port: of `classic`; for `token` 6514 by default.
        region: of your SolarWinds account, for `token` and `https`: na-01, eu-01 or ap-01.
        token: ingestion token, for `token` and `https`.
        url: for `https` instead of the region's address.
        ca: PEM text of the authority to trust instead of the public ones.
        format: RFC 5424, or RFC 3164 (for `classic` alone) with its time stamp in UTC.
        framing: of `classic` and `token`.
        max_message: bytes of the longest message; what is longer is cut, and says so.
    """

    mode: Literal["classic", "token", "https"] = "classic"
    host: Annotated[str, msgspec.Meta(max_length=253, pattern=r"^[^\s/@]*$(?!\n)")] = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}-[0-9]{2}$(?!\n)")] = "na-01"
    token: Secret = Secret("")
    url: Annotated[
        str, msgspec.Meta(max_length=2048, pattern=r"^(https?://[^\s/?#@]+([/?#]\S*)?)?$(?!\n)")
    ] = ""
    ca: str = ""
    format: Literal["rfc5424", "rfc3164"] = "rfc5424"
    framing: Literal["lf", "octet-counting"] = "lf"
    max_message: Annotated[int, msgspec.Meta(ge=480, le=MAX_MESSAGE)] = MAX_MESSAGE

    def __post_init__(self) -> None:
        if self.mode == "classic":
            if not (self.host and self.port):
                raise ValueError("classic needs host and port, as Papertrail shows them")
            if self.token:
                raise ValueError("classic has no token; use the mode token or https")
        elif not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError(f"{self.mode} needs a token, of printable characters without spaces")
        elif self.format != "rfc5424":
            raise ValueError(f"{self.mode} needs the format rfc5424")
        if self.mode == "https" and (self.host or self.port or self.framing != "lf"):
            raise ValueError("https has no host, port or framing; use url for another address")
        if self.mode != "https" and self.url:
            raise ValueError("url is for the mode https")
        if self.ca:
            client_tls(ca=self.ca)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the syslog modes."""
        host = self.host or f"syslog.collector.{self.region}.cloud.solarwinds.com"
        return host, self.port or 6514

    @property
    def endpoint(self) -> str:
        """Address of the mode `https`."""
        return self.url or f"https://logs.collector.{self.region}.cloud.solarwinds.com/v1/logs/bulk"

    def style(self) -> SyslogStyle:
        """Say how messages are to look."""
        data = f"[{self.token.reveal()}{TOKEN_ELEMENT}]" if self.mode == "token" else ""
        return SyslogStyle(
            format=self.format,
            framing=self.framing,
            max_message=self.max_message,
            structured_data=data,
        )
