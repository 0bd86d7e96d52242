"""What is around every request: its id and trace, its problem, its headers, its line in the log."""

import asyncio
import functools
import re
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from hub.errors import IsaaxError
from hub.gateway import answers
from hub.gateway.cors import Cors
from hub.gateway.dispatch import GONE
from hub.gateway.exchange import Exchange, begin, exchange_of, to_response
from hub.gateway.headers import SECURITY, STRICT_TRANSPORT
from hub.gateway.peer import Peers
from hub.gateway.problems import BodyTooLarge, Malformed, NoSuchPath
from hub.gateway.quotas import Quotas
from hub.secret import Secret
from hub.telemetry import Metrics, with_traceparent

UNMATCHED: Final = "unmatched"
"""Name of the resource that takes every path which no route has."""
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for every few seconds by machines: logged at level debug."""
# A part of a path that could be a token of ours (256 bits in base64url); an id is shorter.
_SECRET: Final = re.compile(r"[^/]{40,}")
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_log = structlog.stdlib.get_logger(__name__)


class Shell:
    """aiohttp's middleware and response signal of the gateway."""

    def __init__(
        self,
        metrics: Metrics,
        peers: Peers,
        quotas: Quotas,
        cors: Cors,
        secret_paths: Iterable[str] = (),
    ) -> None:
        """Make them.

        Args:
            secret_paths: templates of paths that hold a secret.
        """
        self._secret_paths = frozenset(secret_paths)
        # Of few routes and statuses; to find them by their labels takes as long as all the rest.
        self._meters = functools.cache(self._meters_of)
        self._draining = asyncio.Event()
        self._peers = peers
        self._quotas = quotas
        self._cors = cors
        self._requests = metrics.counter(
            "isaax_http_requests_total", "Requests answered.", ("method", "route", "status")
        )
        self._seconds = metrics.histogram(
            "isaax_http_request_seconds", "How long answers took.", ("method", "route")
        )

    def _meters_of(self, method: str, template: str, status: int) -> tuple[Counter, Histogram]:
        return (
            self._requests.labels(method, template, str(status)),
            self._seconds.labels(method, template),
        )

    def drain(self) -> None:
        """Tell every client, with its next answer, that the connection closes."""
        self._draining.set()

    async def dress(self, request: web.Request, response: web.StreamResponse) -> None:
        """Give an answer its headers; runs just before they are sent."""
        exchange = exchange_of(request)
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        if exchange.client.secure:
            response.headers.update(STRICT_TRANSPORT)
        response.headers["X-Request-Id"] = exchange.id
        for name, value in (*exchange.headers.items(), *self._cors.headers(request).items()):
            own = response.headers.get(name)
            response.headers[name] = f"{own}, {value}" if own else value
        response.headers.popall("Server", None)
        if self._draining.is_set():
            response.headers["Connection"] = "close"

    def middleware(self) -> Middleware:
        """Give what runs around every handler."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            exchange, started = begin(request, self._peers.client(request)), time.monotonic()
            # Of a context of its own: aiohttp gives each request a task.
            structlog.contextvars.bind_contextvars(request=exchange.id)
            with with_traceparent(request.headers.get("traceparent")):
                status = GONE
                try:
                    response = await self._run(request, handler, exchange)
                    status = response.status
                finally:
                    self._record(request, exchange, status, time.monotonic() - started)
                return response

        return around

    async def _run(
        self, request: web.Request, handler: Handler, exchange: Exchange
    ) -> web.StreamResponse:
        problem: IsaaxError
        try:
            if request.path not in QUIET:
                self._quotas.of_network(exchange.client.address, exchange.headers)
            return await handler(request)
        except IsaaxError as error:
            problem = error
        except web.HTTPException as error:
            problem = _translate(error)
        except Exception:  # whatever it was, the client gets a problem and no detail
            _log.exception("request failed")
            if request.writer.output_size:
                raise  # a part of the answer is out: all that is left is to cut it off
            problem = IsaaxError()
        return to_response(answers.of_error(problem, exchange.id))

    def _record(
        self, request: web.Request, exchange: Exchange, status: int, seconds: float
    ) -> None:
        resource = request.match_info.route.resource
        template = resource.canonical if resource and resource.name != UNMATCHED else "none"
        method = request.method if request.method in _METHODS else "other"
        count, took = self._meters(method, template, status)
        count.inc()
        took.observe(seconds)
        log = _log.debug if template in QUIET else _log.info
        log(
            "request",
            method=method,
            # Without the query, which may hold anything.
            path=template if template in self._secret_paths else shown_path(request.rel_url.path),
            route=template,
            status=status,
            ms=round(seconds * 1000, 2),
            account=exchange.caller.account,
            actor=exchange.caller.actor,
            remote=exchange.client.address,
        )


def shown_path(path: str) -> str:
    """Give a path for the log: whatever in it could be a token of ours is left out.

    One that is meant for a route whose path is secret may be misspelt, and reach no route at all.

    Args:
        path: decoded.

    Returns:
        It, percent-encoded: no path ends a line of the log.
    """
    return quote(_SECRET.sub(Secret.MASK, path), safe="/*:@!$&'()+,;=~")[:256]


def _translate(error: web.HTTPException) -> IsaaxError:
    """Say what aiohttp itself raises in our words."""
    match error.status:
        case 404:
            return NoSuchPath()
        case 413:
            return BodyTooLarge()
        case status if status < 500:
            return Malformed(error.reason)
        case _:
            return IsaaxError()
