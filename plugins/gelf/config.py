"""What a user configures for a GELF input."""

from typing import Annotated, Final, Literal

import msgspec

from hub import HttpUrl, Limits, Secret, check_headers, client_tls

DATAGRAM_BYTES: Final = 8192
"""What some of Graylog's components process at most (GELF format, "Chunking")."""

BODY_BYTES: Final = 65_536
"""What an HTTP input takes by default: Graylog's HttpTransport aggregates, after decompression, no
more than its `max_chunk_size`."""

Host = Annotated[str, msgspec.Meta(max_length=253, pattern=r"^[^\s/@]*$(?!\n)")]


class GelfConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GELF input.

    Args:
        transport: only HTTP confirms; UDP loses what it loses.
        url: of an HTTP input, such as `https://graylog.example.com:12202/gelf`.
        host: of an input that is not HTTP.
        port: of an input that is not HTTP.
        bulk: the HTTP input has "Enable Bulk Receiving" on (Graylog 4.3 or newer): many messages
            a request. An input that has it off takes such a request and discards it.
        max_body: bytes of a request's body, before compression: the input's "Max. HTTP chunk size".
        concurrency: HTTP requests at once, where it is a message each; lines of one device's
            stream wait for each other, those of others do not.
        compression: of HTTP (gzip) and UDP (either); TCP knows none.
        datagram: bytes of the longest UDP datagram; a longer message is sent in chunks. 1420 goes
            unfragmented through most networks.
        headers: more headers of HTTP, such as Authorization; their values are kept secret.
        ca: PEM text of the authority to trust instead of the public ones.
        client_certificate: PEM text of the certificate to show over TLS, with its chain.
        client_key: PEM text of the certificate's key, without a password.
    """

    transport: Literal["http", "tcp", "tls", "udp"]
    url: HttpUrl | None = None
    host: Host = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 12201
    bulk: bool = False
    max_body: Annotated[int, msgspec.Meta(ge=1024, le=16 * 1024 * 1024)] = BODY_BYTES
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=8)] = 4
    compression: Literal["gzip", "zlib", "none"] = "gzip"
    datagram: Annotated[int, msgspec.Meta(ge=512, le=DATAGRAM_BYTES)] = DATAGRAM_BYTES
    headers: dict[str, Secret] = {}
    ca: str = ""
    client_certificate: str = ""
    client_key: Secret = Secret("")

    def __post_init__(self) -> None:
        http = self.transport == "http"
        if http != bool(self.url) or http == bool(self.host):
            raise ValueError("http needs url and no host; tcp, tls and udp need host and no url")
        if not http and (self.bulk or self.headers):
            raise ValueError("bulk and headers need the transport http")
        if http and self.compression == "zlib":
            raise ValueError("HTTP is compressed by gzip or not at all")
        check_headers(self.headers)
        if (self.client_certificate or self.client_key) and self.transport != "tls":
            raise ValueError("client_certificate and client_key need the transport tls")
        if self.ca and self.transport not in {"http", "tls"}:
            raise ValueError("ca needs the transport http or tls")
        if self.ca or self.client_certificate or self.client_key:
            client_tls(ca=self.ca, certificate=self.client_certificate, key=self.client_key)

    def limits(self) -> Limits:
        """Give what a batch may hold: a request a line takes its time, and has to end in it."""
        if self.transport == "http" and not self.bulk:
            return Limits(max_lines=200, max_bytes=256 * 1024)
        return Limits(max_lines=2_000, max_bytes=512 * 1024)
