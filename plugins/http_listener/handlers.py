"""The two addresses: `/v1/lines` and `/v1/logs`."""

import asyncio
import math
import time
from http import HTTPStatus

import msgspec
from aiohttp import web
from prometheus_client import Counter

from plugins.http_listener import otlp
from plugins.http_listener.bodies import read_body
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.door import Door
from plugins.http_listener.lines import read_lines
from plugins.http_listener.refusals import Refused


class Handlers:
    """Answers requests, once what they bring is on disk.

    Args:
        lines: counts what was stored, by form.
        refused: counts what was not, by form and status.
    """

    def __init__(
        self, settings: HttpListenerSettings, door: Door, lines: Counter, refused: Counter
    ) -> None:
        self._settings = settings
        self._door = door
        self._lines = lines
        self._refused = refused

    async def post_lines(self, request: web.Request) -> web.Response:
        """`POST /v1/lines`."""
        try:
            async with self._door.entered(request) as project:
                body = await read_body(request, self._settings)
                kind = request.content_type.lower()
                # Beside the event loop: it may be some megabytes.
                most = self._settings.max_lines
                entries = await asyncio.to_thread(read_lines, body, kind, now=_now(), most=most)
                await self._door.store(project, entries, request.remote or "")
        except Refused as refused:
            self._refused.labels("lines", str(refused.status)).inc()
            return _problem(refused)
        self._lines.labels("lines").inc(len(entries))
        return _json(200, {"lines": len(entries)})

    async def post_logs(self, request: web.Request) -> web.Response:
        """`POST /v1/logs` (OTLP/HTTP)."""
        kind = request.content_type.lower()
        # An answer is in the form of the request; protobuf where that is not known.
        answer = kind if kind == otlp.JSON else otlp.PROTOBUF
        try:
            async with self._door.entered(request) as project:
                body = await read_body(request, self._settings)
                most = self._settings.max_lines
                read = await asyncio.to_thread(otlp.read_logs, body, kind, now=_now(), most=most)
                await self._door.store(project, read.entries, request.remote or "")
        except Refused as refused:
            self._refused.labels("logs", str(refused.status)).inc()
            return web.Response(
                status=refused.status,
                body=otlp.failure(refused, answer),
                content_type=answer,
                headers=_headers(refused),
            )
        self._lines.labels("logs").inc(len(read.entries))
        return web.Response(body=otlp.success(read, answer), content_type=answer)


def _now() -> int:
    return time.time_ns() // 1_000


def _headers(refused: Refused) -> dict[str, str]:
    headers = {}
    if refused.after is not None:
        headers["Retry-After"] = str(max(math.ceil(refused.after), 1))
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.status in {408, 413}:
        headers["Connection"] = "close"  # the rest of the body is not read
    return headers


def _problem(refused: Refused) -> web.Response:
    """Answer as RFC 9457 says."""
    title = HTTPStatus(refused.status).phrase
    problem = {"title": title, "status": refused.status, "detail": refused.detail}
    return web.Response(
        status=refused.status,
        body=msgspec.json.encode(problem),
        content_type="application/problem+json",
        headers=_headers(refused),
    )


def _json(status: int, body: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )
