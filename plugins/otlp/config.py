"""What a user configures for OTLP/HTTP."""

from typing import Annotated, Literal

import msgspec

from hub import HttpUrl, Secret, check_headers, client_tls

Path = Annotated[str, msgspec.Meta(max_length=512, pattern=r"^/[!-~]*$(?!\n)")]


class OtlpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OTLP/HTTP receiver.

    Args:
        url: its base address, such as `https://otel.example.com:4318`; https in production.
        logs_path: appended to the address for log records.
        metrics_path: appended to the address for metrics.
        logs: send log records; off, the lines are left out.
        metrics: send metrics; off, the samples are left out.
        encoding: protobuf is smaller and faster; JSON is for receivers that take nothing else.
        gzip: compress the bodies.
        headers: more headers, such as Authorization; their values are kept secret.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    logs_path: Path = "/v1/logs"
    metrics_path: Path = "/v1/metrics"
    logs: bool = True
    metrics: bool = True
    encoding: Literal["protobuf", "json"] = "protobuf"
    gzip: bool = True
    headers: dict[str, Secret] = {}
    ca: str = ""

    def __post_init__(self) -> None:
        if "?" in self.url or "#" in self.url:
            raise ValueError("url is the base address: put the query into logs_path, metrics_path")
        if not (self.logs or self.metrics):
            raise ValueError("logs and metrics cannot both be off")
        check_headers(self.headers)
        if self.ca:
            client_tls(ca=self.ca)
