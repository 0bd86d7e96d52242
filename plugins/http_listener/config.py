"""The section `[http_listener]` of `hub.toml`."""

from pathlib import Path
from typing import Annotated

import msgspec

Bytes = Annotated[int, msgspec.Meta(ge=1_024, le=64 * 1024 * 1024)]


class HttpListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where lines are taken over HTTP; nowhere by default.

    Args:
        port: to listen at, 0 for any free one; without it, nothing listens.
        host: address to listen at; `::` for all, in both families.
        certificate, key: PEM files; with them it serves HTTPS. A change is taken up by itself.
        max_body: bytes of a request's body; max_plain: of the same once it is decompressed.
        max_lines: of a request, whatever their size.
        requests: at work at once, of which one project has half at most; more are told to come
            again.
        read_timeout: seconds that a body may take to arrive.
        idle_timeout: seconds that a connection may wait for a request, or a request's head take.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] | None = None
    host: str = "0.0.0.0"
    certificate: Path | None = None
    key: Path | None = None
    max_body: Bytes = 4 * 1024 * 1024
    max_plain: Bytes = 16 * 1024 * 1024
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 100_000
    requests: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 32
    read_timeout: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    idle_timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
