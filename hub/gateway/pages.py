"""The gateway's own pages: its reference, whether it lives and is ready, and its metrics."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from hub.gateway import answers
from hub.gateway.answers import Answer
from hub.gateway.conditional import Conditions, etag
from hub.gateway.exchange import to_response
from hub.gateway.intake import refuse_body
from hub.gateway.locality import is_local
from hub.gateway.problems import MetricsForbidden, NoSuchPath, ProblemPage
from hub.gateway.reference import Reference
from hub.secret import Secret
from hub.telemetry import CheckResult, Health, Metrics

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATHS: Final = (
    "/docs", "/docs/{page}", "/healthz", "/metrics", "/openapi.json", "/problems/{code}", "/readyz",
)  # fmt: skip
"""Path templates of the pages; no plugin can take them."""


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "alive"


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be served, and by check what is in the way.

    Args:
        status: `ready` or `not ready`.
        switched_off: services that this hub does not run.
    """

    status: str
    checks: list[CheckResult]
    switched_off: list[str]


class Pages:
    """Makes the pages."""

    def __init__(
        self,
        *,
        document: Mapping[str, Any],
        problems: Mapping[str, ProblemPage],
        reference: Reference,
        health: Health,
        off: Collection[str],
        metrics: Metrics,
        metrics_token: Secret,
    ) -> None:
        """Make them of what the process has.

        Args:
            document: the OpenAPI description.
            problems: by code.
            reference: the pages at `/docs`.
            metrics_token: bearer token for `/metrics`; empty: only for this very machine.
        """
        self._document = msgspec.json.encode(document)
        self._version = hashlib.sha256(self._document).hexdigest()[:32]
        self._problems = problems
        self._reference = reference
        self._health = health
        self._off = off
        self._metrics = metrics
        self._metrics_token = metrics_token

    def by_path(self) -> dict[str, Page]:
        """Give each page, by the path template that it answers GET at."""
        pages = (
            self.reference, self.reference, self.healthz, self.metrics, self.openapi, self.problem,
            self.readyz,
        )  # fmt: skip
        return dict(zip(PATHS, pages, strict=True))

    async def reference(self, request: web.Request) -> web.StreamResponse:
        """Show the API to people: one page for each of its parts."""
        await refuse_body(request)
        page = self._reference.page(request.match_info.get("page", ""))
        if page is None:
            raise NoSuchPath
        tag = page.headers["ETag"]
        if Conditions.of(request.headers).not_modified(tag.strip('"')):
            # A browser takes them over for the page that it has, its policy among them.
            kept = {name: text for name, text in page.headers.items() if name != "Content-Type"}
            return to_response(Answer(304, kept))
        return to_response(page)

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """Describe the API (OpenAPI 3.1)."""
        await refuse_body(request)
        headers = {"ETag": etag(self._version)}
        if Conditions.of(request.headers).not_modified(self._version):
            return to_response(Answer(304, headers))
        media = "application/vnd.oai.openapi+json;version=3.1"
        if "vnd.oai.openapi" not in request.headers.get(hdrs.ACCEPT, ""):
            media = "application/json"
        return to_response(Answer(200, {**headers, "Content-Type": media}, self._document))

    async def problem(self, request: web.Request) -> web.StreamResponse:
        """Describe one type of problem: where the `type` of a problem leads."""
        await refuse_body(request)
        page = self._problems.get(request.match_info["code"])
        if page is None:
            raise NoSuchPath
        return to_response(answers.of_json(page))

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """Say that the process lives: its event loop runs."""
        await refuse_body(request)
        return to_response(answers.of_json(Alive()))

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        """Say whether it can do its work: 503 with the parts that cannot, and why."""
        await refuse_body(request)
        checks = await self._health.check()
        ready = all(check.ok for check in checks)
        body = Readiness("ready" if ready else "not ready", checks, sorted(self._off))
        return to_response(answers.of_json(body, 200 if ready else 503))

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Give the process's metrics to Prometheus.

        They tell of all accounts, so no account's token opens them: the setting
        `http.metrics_token` does. Without it, only a request from this machine is served that no
        proxy passed on.

        Raises:
            MetricsForbidden: to everyone else.
        """
        await refuse_body(request)
        if not self._may_read_metrics(request):
            raise MetricsForbidden("ask from the hub's own machine, or set http.metrics_token")
        headers = {"Content-Type": Metrics.CONTENT_TYPE}
        return to_response(Answer(200, headers, self._metrics.render()))

    def _may_read_metrics(self, request: web.Request) -> bool:
        if self._metrics_token:
            shown = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="replace")
            return hmac.compare_digest(shown, f"Bearer {self._metrics_token.reveal()}".encode())
        return is_local(request)
