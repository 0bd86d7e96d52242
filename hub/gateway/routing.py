"""Which route answers which path and method; what cannot be served is refused by name."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hub.audit.shown import shows_once
from hub.gateway import media
from hub.gateway.decoding import FormDecoder, QueryDecoder
from hub.routes import Route

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~-]+|\{[a-z_]+\}))+")
_PARAMETER = re.compile(r"\{([a-z_]+)\}")

AnyRoute = Route[Any, Any]
Table = Mapping[str, Mapping[str, AnyRoute]]
"""Path template → method → route."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A route, and the plugin that declared it."""

    plugin: str
    route: AnyRoute


@dataclass(frozen=True, slots=True)
class Refused:
    """A route that is not served, and why."""

    plugin: str
    method: str
    path: str
    reason: str


def build_table(
    declared: Iterable[Declared],
    permissions: Container[str],
    *,
    reserved: Iterable[str] = (),
) -> tuple[Table, list[Refused]]:
    """Sort the routes by path and method.

    One that is not well formed, or is there already, is refused: a plugin's mistake takes away
    that route and nothing else.

    Args:
        permissions: names of those that there are: a route that asks for another is for nobody.
        reserved: paths that are the gateway's own.
    """
    table: dict[str, dict[str, AnyRoute]] = {}
    owners = {(method, _shape(path)): "the gateway" for path in reserved for method in METHODS}
    refused: list[Refused] = []
    for one in declared:
        route = one.route
        key = (route.method, _shape(route.path))
        faults = faults_of(route, permissions)
        reason = f"{owners[key]} serves this path" if key in owners else next(faults, "")
        if reason:
            refused.append(Refused(one.plugin, route.method, route.path, reason))
            continue
        owners[key] = one.plugin
        table.setdefault(route.path, {})[route.method] = route
    return table, refused


def path_parameters(path: str) -> list[str]:
    """Give the names in a path template, in order."""
    return _PARAMETER.findall(path)


def body_media(route: AnyRoute) -> str:
    """Give the media type of the body that a route takes."""
    if route.form:
        return media.FORM
    return media.MERGE_PATCH if route.method == "PATCH" else media.JSON


def faults_of(route: AnyRoute, permissions: Container[str]) -> Iterator[str]:
    """Say what is wrong with a route."""
    names = path_parameters(route.path)
    if route.method not in METHODS:
        yield f"its method is not one of {', '.join(METHODS)}"
    if route.permission is not None and route.permission not in permissions:
        yield f"no plugin declares its permission {route.permission}"
    if not _PATH.fullmatch(route.path):
        yield "its path is not of the form /a/{b}"
    if len(set(names)) != len(names):
        yield "its path names a parameter twice"
    if route.anonymous and route.permission is not None:
        yield "nobody has a permission where nobody is asked who they are"
    if (route.unaudited != "") if route.method == "GET" else route.audited:
        yield f"a {route.method} is {'not ' * (route.method == 'GET')}audited anyway"
    yield from _faults_of_input(route)
    yield from _faults_of_answer(route)
    yield from _unkept(route)


def _faults_of_input(route: AnyRoute) -> Iterator[str]:
    takes_body = route.body is not None
    if takes_body and route.method not in _BODY:
        yield f"a {route.method} takes no body"
    if not takes_body and route.method in {"PUT", "PATCH"}:
        yield f"a {route.method} takes a body"
    if takes_body and not _is_struct(route.body):
        yield "its body is not a Struct"
    if route.stream is not None and route.method != "GET":
        yield "only a GET can be answered by a stream"
    if route.form and (route.method != "POST" or not takes_body):
        yield "only a POST with a body takes a form"
    try:
        QueryDecoder(route.query)
        if route.form and _is_struct(route.body):
            FormDecoder(route.body or msgspec.Struct)
    except TypeError as error:
        yield str(error)


def _faults_of_answer(route: AnyRoute) -> Iterator[str]:
    if route.texts and not (route.response is None and (route.method == "GET" or route.form)):
        yield "only a GET or a form without a response can be answered by text"
    if route.download and (route.method != "GET" or route.response is not None):
        yield "only a GET without a response can be answered by a file"
    if not 200 <= route.status < 300:
        yield "its status is not one of success"
    if route.once and _is_struct(route.response) and not shows_once(route.response):
        yield "its answer tells something once, and no field of that is marked SHOWN_ONCE"
    answers = route.response is not None or bool(route.texts or route.download)
    if (route.status == 204) == answers and route.stream is None:
        yield "it answers 204 exactly when it has no response"


def _unkept(route: AnyRoute) -> Iterator[str]:
    """Say which conventions a route cannot keep."""
    if route.method == "GET" and is_list(route) and not _is_paged(route.query):
        yield "it answers a list, and its query has no limit with bounds, or no cursor"
    if route.key_required and (route.method != "POST" or route.permission is None):
        yield "only a POST with a permission can require an Idempotency-Key"
    if route.creates and route.method != "PUT":
        yield "only a PUT can create by its path"
    if route.if_match and not route.versioned:
        yield "it requires an If-Match that nothing can fit"
    end = route.deprecated.sunset if route.deprecated else None
    if route.deprecated and end and end < route.deprecated.since:
        yield "its sunset comes before its deprecation"


def is_list(route: AnyRoute) -> bool:
    """Say whether a route answers many things, rather than one."""
    return getattr(route.response, "__origin__", None) is list


def _is_paged(query: type[msgspec.Struct]) -> bool:
    known = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
    limit = known.get("limit", {})
    return "cursor" in known and {"minimum", "maximum"} <= limit.keys()


def _shape(path: str) -> str:
    """Give the path without the names of its parameters: `/a/{b}` and `/a/{c}` are one."""
    return _PARAMETER.sub("{}", path)


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
