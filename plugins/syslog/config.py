"""What a user configures for a syslog server."""

import re
from typing import Annotated, Final, Literal

import msgspec

from hub import Secret, SyslogStyle, client_tls

DATAGRAM_BYTES: Final = 1024
"""The longest message over UDP unless configured otherwise: what RFC 3164, 4.1 allows."""

STREAM_BYTES: Final = 8192
"""The same over TCP and TLS: what receivers should take (RFC 5424, 6.1), rsyslog's default."""

_NAME = r"[!#-<>-\\^-~]{1,128}"
_VALUE = r'"(?:[^"\\\]\x00-\x1f]|\\["\\\]])*"'
_ELEMENTS: Final = re.compile(rf"(?:\[{_NAME}(?: {_NAME}={_VALUE})*\])*")

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=r"^[^\s/@]+$(?!\n)")]


class SyslogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A syslog server.

    Args:
        host: name or address of the server.
        port: usually 6514 for TLS, 514 or 601 for TCP, 514 for UDP.
        transport: UDP has no confirmation at all: lines are lost when the server is away.
        format: RFC 5424, or RFC 3164 with its time stamp in UTC.
        framing: of TCP and TLS; octet-counting keeps the newlines within a message.
        ca: PEM text of the authority that signed the server's certificate; "" for the public ones.
        client_certificate: PEM text of the certificate to show to the server, with its chain.
        client_key: PEM text of the certificate's key, without a password.
        facility: 0 to 23, instead of each line's own.
        structured_data: RFC 5424 elements for every message, such as `[token@12345 key="…"]`.
        include_id: carry each line's stable id, as PROCID and `[meta sequenceId="…"]`.
        max_message: bytes of the longest message; what is longer is cut, and says so.
            By default 1024 for UDP and 8192 for TCP and TLS.
    """

    host: Host
    port: Port = 6514
    transport: Literal["tls", "tcp", "udp"] = "tls"
    format: Literal["rfc5424", "rfc3164"] = "rfc5424"
    framing: Literal["lf", "octet-counting"] = "lf"
    ca: str = ""
    client_certificate: str = ""
    client_key: Secret = Secret("")
    facility: Annotated[int, msgspec.Meta(ge=0, le=23)] | None = None
    structured_data: Secret = Secret("")
    include_id: bool = False
    max_message: Annotated[int, msgspec.Meta(ge=480, le=1_000_000)] | None = None

    def __post_init__(self) -> None:
        if self.format == "rfc3164" and (self.structured_data or self.include_id):
            raise ValueError("structured_data and include_id need the format rfc5424")
        if not _ELEMENTS.fullmatch(self.structured_data.reveal()):
            raise ValueError('structured_data is made of elements such as [name@12345 key="value"]')
        if self.transport == "udp":
            if self.framing != "lf":
                raise ValueError("UDP has no framing: leave framing out")
            if (self.max_message or 0) > 65_000:
                raise ValueError("a UDP datagram holds at most 65000 bytes")
        if self.ca or self.client_certificate or self.client_key:
            if self.transport != "tls":
                raise ValueError("certificates need the transport tls")
            client_tls(ca=self.ca, certificate=self.client_certificate, key=self.client_key)

    def style(self) -> SyslogStyle:
        """Say how messages are to look."""
        datagrams = self.transport == "udp"
        return SyslogStyle(
            format=self.format,
            framing="datagram" if datagrams else self.framing,
            max_message=self.max_message or (DATAGRAM_BYTES if datagrams else STREAM_BYTES),
            facility=self.facility,
            structured_data=self.structured_data.reveal(),
            include_id=self.include_id,
        )
