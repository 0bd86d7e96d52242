"""One signed request a batch."""

import base64
import gzip
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from hub import Batch, Line, Tools, client_tls, post, rfc3339
from plugins.webhook.config import WebhookConfig

_encode: Final = msgspec.json.Encoder().encode


class WebhookLine(msgspec.Struct, frozen=True, omit_defaults=True):
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
            body = _encode(list(_lines(batch)))
        else:
            body = b"\n".join([*map(_encode, _lines(batch)), b""])
        return gzip.compress(body, 1, mtime=0) if self._config.gzip else body

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


def _lines(batch: Batch) -> Iterator[WebhookLine]:
    return map(_line, batch)


def _line(line: Line) -> WebhookLine:
    return WebhookLine(
        id=line.id,
        time=rfc3339(line.time),
        device=line.device,
        host=line.host,
        stream=line.stream,
        facility=line.priority >> 3,
        severity=line.priority & 7,
        program=line.program,
        message=line.message,
        labels=dict(line.labels),
    )
