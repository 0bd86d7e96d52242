"""OTLP/HTTP: log records and metrics, for an OpenTelemetry collector or what speaks like one."""

from hub import DestinationType, hookimpl
from plugins.otlp.config import OtlpConfig
from plugins.otlp.destination import build_logs, build_metrics


@hookimpl
def isaax_destinations() -> list[DestinationType[OtlpConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="otlp",
            title="OpenTelemetry (OTLP/HTTP)",
            summary="Logs and metrics for an OpenTelemetry collector, as protobuf or JSON.",
            config=OtlpConfig,
            build=build_logs,
            metrics=build_metrics,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            max_bytes=1024 * 1024,
            examples=(
                {"url": "https://otel.example.com:4318"},
                {
                    "url": "https://otlp.example.com/otlp",
                    "headers": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
                    "encoding": "json",
                },
            ),
        )
    ]
