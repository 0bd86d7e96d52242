"""The aiohttp application: one resource for each path, and a clear answer for everything else."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from hub.gateway.answers import Answer
from hub.gateway.cors import Cors
from hub.gateway.dispatch import Dispatcher, Parts
from hub.gateway.exchange import to_response
from hub.gateway.intake import leave_expectation, refuse_body
from hub.gateway.pages import Pages
from hub.gateway.problems import MethodNotAllowed, NoSuchPath
from hub.gateway.routing import Table, body_media
from hub.gateway.shell import UNMATCHED, Shell

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ANY: Final = "*"
_ACCEPTS: Final = {"POST": "Accept-Post", "PATCH": "Accept-Patch"}


def build_app(
    table: Table, pages: Pages, parts: Parts, shell: Shell, cors: Cors, *, max_body: int
) -> web.Application:
    """Build the application.

    Args:
        max_body: bytes of the largest request body.
    """
    app = web.Application(middlewares=[shell.middleware()], client_max_size=max_body)
    app.on_response_prepare.append(shell.dress)
    paths: dict[str, dict[str, Serve]] = {
        path: {"GET": page} for path, page in pages.by_path().items()
    }
    for path, routes in table.items():
        serve = paths.setdefault(path, {})
        for method, route in routes.items():
            serve[method] = Dispatcher(route, parts).serve
    for path, methods in sorted(paths.items(), key=_by_words_first):
        accepts = {
            _ACCEPTS[method]: body_media(route)
            for method, route in table.get(path, {}).items()
            if method in _ACCEPTS
        }
        _add(app, path, Resource(methods, accepts, cors).serve)
    _add(app, "/{tail:.*}", _nothing_here, name=UNMATCHED)
    return app


def _by_words_first(item: tuple[str, object]) -> list[bool]:
    """Sort so that `/a/me` is looked at before `/a/{b}`, whoever was declared first."""
    return [part.startswith("{") for part in item[0].split("/")]


def _add(app: web.Application, path: str, serve: Serve, name: str | None = None) -> None:
    resource = app.router.add_resource(path, name=name)
    resource.add_route(_ANY, serve, expect_handler=leave_expectation)


async def _nothing_here(request: web.Request) -> web.StreamResponse:
    raise NoSuchPath


@dataclass(frozen=True, slots=True)
class Resource:
    """Everything that can be done at one path.

    Args:
        accepts: headers that say what bodies are taken.
    """

    methods: Mapping[str, Serve]
    accepts: Mapping[str, str]
    cors: Cors

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer by method; HEAD is a GET whose body stays here.

        Raises:
            MethodNotAllowed: with `Allow` (RFC 9110, section 15.5.6).
        """
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS":
            await refuse_body(request)
            preflight = self.cors.preflight(request, self._allow())
            return to_response(Answer(204, {**self._options(), **preflight}))
        if method not in self.methods:
            raise MethodNotAllowed(f"allowed are {self._allow()}", headers=self._options())
        return await self.methods[method](request)

    def _allow(self) -> str:
        methods = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(methods))

    def _options(self) -> dict[str, str]:
        return {"Allow": self._allow(), **self.accepts}
