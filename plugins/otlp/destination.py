"""One request a batch, and what the answers mean.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from typing import Final

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from hub import (
    Answer,
    Batch,
    Destination,
    Discard,
    HttpTarget,
    MetricBatch,
    MetricDestination,
    Rejected,
    Retry,
    Tools,
)
from plugins.otlp import json_form, protobuf
from plugins.otlp.config import OtlpConfig

COMES_AGAIN: Final = frozenset({429, 502, 503, 504})
"""The table "Retryable Response Codes"; every other 4xx and 5xx must not be sent again."""


def build_logs(config: OtlpConfig, tools: Tools) -> Destination:
    """Build the destination of log lines."""
    return OtlpLogs(config, tools) if config.logs else Discard()


def build_metrics(config: OtlpConfig, tools: Tools) -> MetricDestination:
    """Build the destination of metrics."""
    return OtlpMetrics(config, tools) if config.metrics else Discard()


class _Otlp:
    """Posts messages to one path of a receiver."""

    def __init__(self, config: OtlpConfig, tools: Tools, path: str) -> None:
        self._json = config.encoding == "json"
        self._form = json_form if self._json else protobuf
        self._log = tools.log
        self._target = HttpTarget(
            tools,
            config.url.rstrip("/") + path,
            headers={
                **{name: value.reveal() for name, value in config.headers.items()},
                "Content-Type": "application/json" if self._json else "application/x-protobuf",
            },
            ca=config.ca,
            compress=config.gzip,
        )

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, request: bytes, response: Message) -> None:
        """Send one request.

        Args:
            response: empty; a success that says something is read into it.
        """
        answer = await self._target.push(request)
        if answer.ok:
            self._read(answer.body, response)
        elif answer.status in COMES_AGAIN:
            raise Retry(self._words(answer), after=answer.retry_after)
        else:
            raise Rejected(self._words(answer))

    def _read(self, body: bytes, into: Message) -> bool:
        """Read a message; False, and nothing of it, when it is none."""
        try:
            if self._json:
                Parse(body, into, ignore_unknown_fields=True)
            else:
                into.MergeFromString(body)
        except (DecodeError, ParseError, UnicodeDecodeError):
            into.Clear()
            return False
        return True

    def _words(self, answer: Answer) -> str:
        """Give status and reason: the body of a failure is a google.rpc.Status."""
        # It has its code and its message where this one has a count and a message.
        status = ExportLogsPartialSuccess()
        if self._json or not self._read(answer.body, status) or not status.error_message:
            return answer.words
        return f"answered {answer.status}: {status.error_message[:200]}"

    def _settle(self, rejected: int, reason: str, sent: int) -> None:
        """Take note of a partial success, which must not be sent again.

        It tells how many were refused, and not which. Where it is all of them they are dead
        letters; where it is some they cannot be told from the others, and are counted in the log.

        Raises:
            Rejected: none was taken.
        """
        if rejected >= sent:
            raise Rejected(f"rejected all {sent}: {reason[:200]}")
        if rejected or reason:
            self._log.warning(
                "the receiver took a part", rejected=rejected, sent=sent, reason=reason[:200]
            )


class OtlpLogs(_Otlp):
    """Posts lines as log records."""

    def __init__(self, config: OtlpConfig, tools: Tools) -> None:
        super().__init__(config, tools, config.logs_path)

    async def send(self, batch: Batch) -> None:
        """Push one batch; the receiver has taken it when this returns."""
        response = ExportLogsServiceResponse()
        await self._push(self._form.logs(batch), response)
        partial = response.partial_success
        self._settle(partial.rejected_log_records, partial.error_message, len(batch))


class OtlpMetrics(_Otlp):
    """Posts samples as gauges and sums."""

    def __init__(self, config: OtlpConfig, tools: Tools) -> None:
        super().__init__(config, tools, config.metrics_path)

    async def send(self, batch: MetricBatch) -> None:
        """Push one batch; the receiver has taken it when this returns."""
        response = ExportMetricsServiceResponse()
        await self._push(self._form.metrics(batch), response)
        partial = response.partial_success
        self._settle(partial.rejected_data_points, partial.error_message, len(batch))
