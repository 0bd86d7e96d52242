"""The section `[syslog_listener]` of `hub.toml`."""

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hub import Secret

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Listener(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One port that syslog is taken at, for one project.

    Args:
        transport: `udp`, `tcp` or `tls`.
        port: 0 for any free one.
        token: of the project that the lines are for.
        host: address to listen at; `::` for all, in both families.
        certificate, key: PEM files, for `tls`; a change of them is taken up by itself.
        zone: that RFC 3164's times are in, such as `Europe/Berlin`.
    """

    transport: Literal["udp", "tcp", "tls"]
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    token: Secret
    host: str = "0.0.0.0"
    certificate: Path | None = None
    key: Path | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        has_both = self.certificate is not None and self.key is not None
        if self.transport == "tls" and not has_both:
            raise ValueError("tls needs certificate and key")
        if self.transport != "tls" and (self.certificate or self.key):
            raise ValueError("certificate and key go with tls")
        if not self.token:
            raise ValueError("token is that of a project")
        self.zone_info()

    def zone_info(self) -> tzinfo:
        """Give the zone.

        Raises:
            ValueError: there is no such zone.
        """
        if self.zone == "UTC":  # without a database of zones
            return UTC
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {self.zone!r}") from None


class SyslogListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where syslog is taken; nowhere by default.

    Args:
        listeners: by a name of yours.
        connections: at each listener; connections_per_address: of those, from one of them.
        handshake: seconds that TLS may take.
        idle: seconds without a byte after which a connection is closed.
        memory: bytes that storing what was read may take at each listener; a project takes no more
            of it than it leaves free. Connections have buffers of their own besides, of 256 KiB.
        udp_queue: bytes of datagrams that wait at each UDP listener; what comes then is dropped,
            and counted.
    """

    listeners: dict[str, Listener] = {}
    connections: Count = 1_000
    connections_per_address: Count = 100
    handshake: Positive = 10.0
    idle: Positive = 86_400.0
    memory: Annotated[int, msgspec.Meta(ge=4 << 20)] = 32 * 1024 * 1024
    udp_queue: Annotated[int, msgspec.Meta(ge=1 << 16)] = 8 * 1024 * 1024
