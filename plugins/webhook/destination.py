"""One signed request a batch."""

import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable
from typing import Final

import msgspec

from hub import Batch, Chunk, Tools, client_tls, gzipped, post, rfc3339_column
from plugins.webhook.config import WebhookConfig

_encoder: Final = msgspec.json.Encoder()


class WebhookLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One line as it is sent; `id` is the same whenever the line is sent again.

    Args:
        labels: what the integration's shape adds; left out where it adds none.
    """

    id: str
    time: str
    device: str
    host: str
    stream: str
    facility: int
    severity: int
    program: str
    message: str
    labels: dict[str, str] = {}


class Webhook:
    """Posts batches as the Standard Webhooks specification says.

    Args:
        clock: Unix seconds, for `webhook-timestamp`.
    """

    def __init__(
        self, config: WebhookConfig, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._tools = tools
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    async def send(self, batch: Batch) -> None:
        """Push one batch; the endpoint has taken it when this returns."""
        if self._config.ca and self._tls is None:
            self._tls = client_tls(ca=self._config.ca)
        body = self._body(batch)
        answer = await post(
            self._tools.http,
            self._config.url,
            body,
            headers=self._headers(batch.id, body),
            tls=self._tls,
        )
        answer.check()

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    def _body(self, batch: Batch) -> bytes:
        if self._config.format == "json":
            body = _encoder.encode(_lines(batch))
        else:
            body = _encoder.encode_lines(_lines(batch))
        return gzipped(body) if self._config.gzip else body

    def _headers(self, identifier: str, body: bytes) -> dict[str, str]:
        headers = {name: value.reveal() for name, value in self._config.headers.items()}
        headers["Content-Type"] = (
            "application/json" if self._config.format == "json" else "application/x-ndjson"
        )
        if self._config.gzip:
            headers["Content-Encoding"] = "gzip"
        moment = str(int(self._clock()))
        headers["webhook-id"] = identifier
        headers["webhook-timestamp"] = moment
        if self._config.secret:
            headers["webhook-signature"] = sign(
                self._config.signing_key(), identifier, moment, body
            )
        return headers


def sign(key: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    """Sign a request (Standard Webhooks, "Signature scheme": v1, symmetric)."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _lines(batch: Batch) -> list[WebhookLine]:
    return [line for chunk in batch.chunks for line in _lines_of(chunk)]


def _lines_of(chunk: Chunk) -> list[WebhookLine]:
    lines, labels = chunk.lines, dict(chunk.labels)
    columns = zip(
        chunk.ids(),
        rfc3339_column(lines.times),
        lines.priority_column(),
        lines.program_column(),
        lines.messages,
        strict=True,
    )
    return [
        WebhookLine(
            identifier, moment, chunk.device, chunk.host, chunk.stream,
            priority >> 3, priority & 7, program, message, labels,
        )
        for identifier, moment, priority, program, message in columns
    ]  # fmt: skip
